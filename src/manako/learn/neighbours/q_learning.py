"""Q-learning: learn by trying how good each action is in each state, without knowing how the world works.

    Q(s, a) += rate (reward + discount max over a' of Q(s', a') - Q(s, a))        no max term after an end
    act by chance with probability epsilon, else by the largest Q

Value iteration, which does know the world, finds the true values by repeating
    V(s) = max over a of sum over outcomes of p (reward + discount V(s'))
Shapes: Q (S, A), V (S,). Source: C. Watkins, P. Dayan, "Q-learning", 1992; R. Bellman, 1957.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from manako.learn.layer import Array, Integers
from manako.learn.neighbours.grid_world import World

LONGEST = 200  # steps of one episode


@dataclass(frozen=True, eq=False)
class Learned:
    """`q` (S, A); `returns` and `lengths` of each episode: the sum of rewards, and the steps."""

    q: Array
    returns: Array
    lengths: Integers

    @property
    def policy(self) -> Integers:
        """(S,) the best action of each state."""
        best: Integers = self.q.argmax(1)
        return best


def learn(
    world: World, *, episodes: int = 500, rate: float = 0.5, final_rate: float = 0.02, discount: float = 0.95,
    epsilon: float = 1.0, final_epsilon: float = 0.05, seed: int = 0,
) -> Learned:  # fmt: skip
    """Both the rate and the share of chance actions fall from episode to episode."""
    rng = np.random.default_rng(seed)
    q = np.zeros((len(world.outcomes), world.actions))
    returns, lengths = np.zeros(episodes), np.zeros(episodes, np.int64)
    for episode in range(episodes):
        done = episode / max(episodes - 1, 1)
        chance = epsilon * (final_epsilon / epsilon) ** done
        step_size = rate * (final_rate / rate) ** done
        state = int(rng.choice(len(world.starts), p=world.starts))
        for length in range(1, LONGEST + 1):
            action = _choose(q[state], chance, rng)
            following, reward, ended = step(world, state, action, rng)
            target = reward + (0.0 if ended else discount * float(q[following].max()))
            q[state, action] += step_size * (target - q[state, action])
            returns[episode] += reward
            lengths[episode] = length
            state = following
            if ended:
                break
    return Learned(q, returns, lengths)


def _choose(values: Array, chance: float, rng: np.random.Generator) -> int:
    if rng.random() < chance:
        return int(rng.integers(len(values)))
    best = np.flatnonzero(values == values.max())
    return int(best[rng.integers(len(best))])  # ties by lot: an untouched table has no favourite


def step(world: World, state: int, action: int, rng: np.random.Generator) -> tuple[int, float, bool]:
    """What the world answers: the next state, the reward, whether it ended."""
    outcomes = world.outcomes[state][action]
    index = 0 if len(outcomes) == 1 else int(rng.choice(len(outcomes), p=[outcome[0] for outcome in outcomes]))
    _, following, reward, ended = outcomes[index]
    return following, reward, ended


def value_iteration(world: World, *, discount: float = 0.95, tolerance: float = 1e-10) -> tuple[Array, Array]:
    """The true V (S,) and Q (S, A)."""
    values = np.zeros(len(world.outcomes))
    while True:
        q = np.array([[_worth(outcomes, values, discount) for outcomes in actions] for actions in world.outcomes])
        if np.abs(q.max(1) - values).max() < tolerance:
            return q.max(1), q
        values = q.max(1)


def _worth(outcomes: object, values: Array, discount: float) -> float:
    return sum(p * (r + (0.0 if end else discount * values[s])) for p, s, r, end in outcomes)  # type: ignore[attr-defined]


def walk(world: World, policy: Integers, *, seed: int = 0) -> tuple[list[int], float]:
    """The states of one episode by `policy`, and the sum of its rewards."""
    rng = np.random.default_rng(seed)
    state = int(rng.choice(len(world.starts), p=world.starts))
    states, total = [state], 0.0
    for _ in range(LONGEST):
        state, reward, ended = step(world, state, int(policy[state]), rng)
        states.append(state)
        total += reward
        if ended:
            break
    return states, total
