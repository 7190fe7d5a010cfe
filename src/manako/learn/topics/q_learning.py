"""Q-learning: find the way through a grid world by trying; held against value iteration, which knows the world."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from manako.figures import HIDDEN, Axis, Cells, Figure, Line, Panel, Rule
from manako.learn.layer import Array, Integers
from manako.learn.lesson import Lesson, Section, Table, number
from manako.learn.neighbours.grid_world import ARROWS, GridWorld, World, from_gymnasium, from_text
from manako.learn.neighbours.q_learning import Learned, learn, value_iteration, walk
from manako.messages import message

TITLE = "learn.q_learning.title"
ORDER = 240

DRAWING = """
S..#...
.#....o
.#.#.##
...o..G
"""


def play(seed: int = 0) -> Lesson:
    world = from_text(DRAWING, slip=0.1)
    learned = learn(world, episodes=3000, seed=seed)
    values, q = value_iteration(world)
    states, total = walk(world, learned.policy, seed=seed)
    open_states = np.array([letter in "S." for letter in "".join(world.rows)])
    gap = float(np.abs(learned.q.max(1) - values)[open_states].max())
    lost = q.max(1) - q[np.arange(len(q)), learned.policy]  # what the learned action costs, by the true values
    facts = {"episodes": len(learned.returns), "steps": len(states) - 1, "total": number(total, 2)}
    lines = [message("learn.q_learning.idea"), message("learn.q_learning.walked", **facts)]
    lines.append(message("learn.q_learning.gap", gap=number(gap, 2), lost=number(float(lost[open_states].max()), 3)))
    sections = [Section(message("learn.q_learning.world"), lines, _start_table(world, learned, q)), _update()]
    sections += [_gymnasium(name, seed) for name in ("FrozenLake", "Taxi") if find_spec("gymnasium")]
    figures = {
        "maps": _maps(world, learned.q.max(1), learned.policy, values, q.argmax(1)),
        "episodes": _episodes(learned, world, values),
    }
    data = {
        "map": world.rows, "value": learned.q.max(1), "policy": learned.policy, "true_value": values,
        "largest_difference": gap, "largest_loss_of_an_action": float(lost[open_states].max()), "way": states,
    }  # fmt: skip
    return Lesson(sections, figures, data)


def _start_table(world: GridWorld, learned: Learned, q: Array) -> Table:
    start = int(world.starts.argmax())
    rows = [[ARROWS[a], number(learned.q[start, a]), number(q[start, a])] for a in range(4)]
    return Table(
        [message("learn.q_learning.action"), message("learn.q_learning.learned"), message("learn.q_learning.true")],
        rows,
    )


def _update() -> Section:
    """One update by hand: before the goal, with numbers that are easy to follow."""
    old, rate, reward, discount, following = 0.2, 0.5, -0.04, 0.95, 0.8
    target = reward + discount * following
    facts = {"old": old, "rate": rate, "reward": number(reward, 2), "discount": discount, "following": following}
    line = message(
        "learn.q_learning.update", target=number(target, 2), new=number(old + rate * (target - old), 2), **facts
    )
    return Section(message("learn.q_learning.one_update"), [line])


def _gymnasium(name: str, seed: int) -> Section:
    world = from_gymnasium(name)
    learned = learn(world, episodes=4000, discount=0.99, seed=seed)
    values, _ = value_iteration(world, discount=0.99, tolerance=1e-8)
    known = float(values @ world.starts)
    reached = _value_of(world, learned.policy, 0.99)
    return Section(name, [message("learn.q_learning.elsewhere", reached=number(reached), known=number(known))])


def _value_of(world: World, policy: Integers, discount: float) -> float:
    """The expected discounted return of a policy from the start."""
    fixed = World([[world.outcomes[s][int(a)]] for s, a in enumerate(policy)], world.starts)
    return float(value_iteration(fixed, discount=discount, tolerance=1e-8)[0] @ world.starts)


def _maps(world: GridWorld, values: Array, policy: Integers, true_values: Array, true_policy: Integers) -> Figure:
    shown = [("learned", values, policy), ("true", true_values, true_policy)]
    panels = [_map(world, v, p, message(f"learn.q_learning.{key}")) for key, v, p in shown]
    return Figure(panels, message("learn.q_learning.maps"), message("learn.q_learning.note"), columns=2)


def _map(world: GridWorld, values: Array, policy: Integers, title: str) -> Panel:
    width = len(world.rows[0])
    grid = values.reshape(-1, width).copy()
    texts = []
    for r, row in enumerate(world.rows):
        line = []
        for c, letter in enumerate(row):
            grid[r, c] = {"G": 1.0, "o": -1.0, "#": np.nan}.get(letter, grid[r, c])
            arrow = ARROWS[policy[r * width + c]]
            mark = {"G": "G\n+1", "o": "o\n−1", "#": "#"}.get(letter, f"{arrow}\n{number(grid[r, c], 2)}")
            line.append(mark)
        texts.append(line)
    walls = [(r, c) for r, row in enumerate(world.rows) for c, letter in enumerate(row) if letter == "#"]
    cells = Cells(grid, texts, "signed", -1, 1, outlined=walls)
    return Panel([cells], title, HIDDEN, Axis(hidden=True, reverse=True), width=46.0 * width, height=42.0 * len(grid))


def _episodes(learned: Learned, world: GridWorld, values: Array) -> Figure:
    window = 50
    smooth = np.convolve(learned.returns, np.ones(window) / window, "valid")
    steps = np.convolve(learned.lengths, np.ones(window) / window, "valid")
    at = np.arange(len(smooth)) + window
    episode = Axis(message("learn.q_learning.episode"))
    panels = [
        Panel(
            [Line(at, smooth), Rule(0, "horizontal")],
            message("learn.q_learning.returns", window=window),
            episode,
            Axis(),
        ),
        Panel([Line(at, steps)], message("learn.q_learning.lengths", window=window), episode, Axis(low=0)),
    ]
    return Figure(panels, columns=2)
