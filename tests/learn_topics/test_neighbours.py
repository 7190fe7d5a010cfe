"""The neighbours, held against scikit-learn, SciPy, linear algebra and reckoning by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from manako.errors import DataError, MissingExtraError
from manako.learn.neighbours import extra, grid_world, k_means
from manako.learn.neighbours.decision_tree import gini, grow
from manako.learn.neighbours.grid_world import from_table, from_text
from manako.learn.neighbours.hierarchical import dendrogram, join
from manako.learn.neighbours.hog import CUT, cell_histograms, hog
from manako.learn.neighbours.q_learning import learn, value_iteration, walk
from manako.learn.neighbours.support_vectors import separate

DIGITS, LABELS = load_digits(return_X_y=True)
SEEDS = st.integers(0, 10_000)


def test_the_tree_walks_as_scikit_learn_does():
    tree = grow(DIGITS[:500], LABELS[:500], depth=6)
    model = DecisionTreeClassifier(max_depth=6, random_state=0).fit(DIGITS[:500], LABELS[:500])
    assert (tree.predict(DIGITS[500:900]) == model.predict(DIGITS[500:900])).all()
    assert tree.depth == model.get_depth()
    assert all(gini(node.counts) == pytest.approx(node.impurity) for node in tree.nodes)
    assert all(
        (tree.nodes[n.left].counts + tree.nodes[n.right].counts == n.counts).all() for n in tree.nodes if not n.is_leaf
    )


def test_the_first_question_is_the_best_of_all():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(40, 3)), rng.integers(0, 2, 40)
    root = grow(x, labels, depth=1).nodes[0]

    def after(feature, threshold):
        sides = [labels[x[:, feature] <= threshold], labels[x[:, feature] > threshold]]
        return sum(len(side) * gini(np.bincount(side, minlength=2)) for side in sides if len(side))

    best = min(after(f, t) for f in range(3) for t in x[:, f])
    assert after(root.feature, root.threshold) == pytest.approx(best)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.sampled_from(["linear", "rbf"]), st.sampled_from([0.1, 1.0, 50.0]))
def test_the_machine_decides_as_scikit_learn_does_and_keeps_its_conditions(seed, kernel, softness):
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1], 15)
    x = rng.normal(size=(30, 2)) + labels[:, None]
    machine = separate(x, labels, kernel=kernel, softness=softness, gamma=0.7)
    model = SVC(kernel=kernel, C=softness, gamma=0.7).fit(x, labels)
    assert machine.decision(x) == pytest.approx(model.decision_function(x), abs=1e-9)
    assert (machine.predict(x) == model.predict(x)).all()
    margin = machine.decision(x) * (2 * labels - 1)
    others = np.setdiff1d(np.arange(30), machine.chosen)
    assert (margin[others] >= 1 - 2e-3).all()  # who is no support vector stands outside the gap
    assert abs(machine.weights.sum()) < 1e-6 and (np.abs(machine.weights) <= softness + 1e-9).all()


def test_the_gap_by_hand():
    machine = separate(np.array([[0.0, 0.0], [0.0, 1.0], [3.0, 0.0], [3.0, 1.0]]), np.array([0, 0, 1, 1]), softness=1e3)
    assert machine.gap == pytest.approx(3, rel=1e-3)
    assert machine.decision(np.array([[1.5, 7.0]])) == pytest.approx([0], abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1, 5))
def test_k_means_ends_where_scikit_learn_does(seed, k):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(40, 3)) + 3 * rng.integers(0, 3, (40, 1))
    begin = k_means.start(x, k, rng)
    steps = k_means.find(x, begin)
    assert (np.diff([step.inertia for step in steps]) <= 1e-9).all()
    model = KMeans(k, init=begin, n_init=1, algorithm="lloyd", max_iter=100, tol=0).fit(x)
    assert steps[-1].inertia == pytest.approx(model.inertia_)
    assert (steps[-1].cluster == model.labels_).all()


def _pairs(cluster):
    return np.equal.outer(cluster, cluster)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.integers(2, 30), st.sampled_from(["ward", "average", "complete", "single"]), st.integers(1, 6))
def test_the_hierarchy_is_scipys(seed, count, how, clusters):
    assume(clusters <= count)
    x = np.random.default_rng(seed).normal(size=(count, 3))
    tree, known = join(x, linkage=how), linkage(x, how)
    assert tree.heights == pytest.approx(known[:, 2])
    cut = tree.cut(clusters)
    assert (_pairs(cut) == _pairs(fcluster(known, clusters, "maxclust"))).all()
    assert cut[0] == 0 and sorted(set(cut.tolist())) == list(range(clusters))
    assert sorted(tree.order().tolist()) == list(range(count))


def test_a_large_dendrogram_shows_its_top():
    x = np.random.default_rng(0).normal(size=(200, 2))
    tree = join(x)
    panel = dendrogram(tree, clusters=4, most=25).panels[0]
    line, rule = panel.marks
    assert np.isnan(line.y).sum() == 24  # 25 leaves, 24 joins
    assert sum(int(text.strip("()")) for _, text in panel.x.ticks) == 200
    crossings = sum(1 for a, b in zip(line.y, line.y[1:], strict=False) if min(a, b) < rule.at < max(a, b))
    assert crossings == 4  # the cut meets as many lines as there are clusters


def test_hog_shares_every_gradient_between_two_directions():
    images = np.random.default_rng(0).random((3, 32, 32))
    cells = cell_histograms(images)
    across, down = np.zeros_like(images), np.zeros_like(images)
    across[:, :, 1:-1], down[:, 1:-1] = images[:, :, 2:] - images[:, :, :-2], images[:, 2:] - images[:, :-2]
    expected = np.zeros((3, 4, 4, 9))
    for n, i, j in np.ndindex(images.shape):
        angle = np.degrees(np.arctan2(down[n, i, j], across[n, i, j])) % 180
        place = angle / 20 - 0.5
        low, share = int(np.floor(place)), place - np.floor(place)
        strength = np.hypot(across[n, i, j], down[n, i, j])
        expected[n, i // 8, j // 8, low % 9] += strength * (1 - share)
        expected[n, i // 8, j // 8, (low + 1) % 9] += strength * share
    assert cells == pytest.approx(expected)


def test_hog_sees_edges_not_light():
    images = np.random.default_rng(1).random((2, 64, 64))
    plain = hog(images)
    assert plain.shape == (2, 7 * 7 * 36)
    assert hog(0.5 * images + 0.2) == pytest.approx(plain, abs=2e-3)
    assert np.linalg.norm(plain.reshape(2, 49, 36), axis=-1) == pytest.approx(1, abs=1e-2)
    stripes = np.tile((np.arange(64) // 4 % 2).astype(float), (64, 1))[None]
    upright, lying = cell_histograms(stripes), cell_histograms(stripes.transpose(0, 2, 1))
    assert upright[..., [0, 8]].sum() == pytest.approx(upright.sum())  # gradient along x: 0 degrees
    assert lying[..., 4].sum() == pytest.approx(lying.sum())  # along y: 90 degrees
    assert hog(stripes).max() <= 1 and CUT == 0.2


MAPS = st.integers(2, 5).flatmap(
    lambda width: st.lists(st.text("SGo#.", min_size=width, max_size=width), min_size=2, max_size=5)
)


@settings(max_examples=30, deadline=None)
@given(MAPS, st.floats(0, 0.6))
def test_value_iteration_solves_the_linear_equations_and_leaves_nothing_to_gain(rows, slip):
    text = "\n".join(rows)
    assume("S" in text and "G" in text)
    world = from_text(text, slip=slip)
    values, q = value_iteration(world, discount=0.9)
    policy, size = q.argmax(1), len(values)
    move, reward = np.zeros((size, size)), np.zeros(size)
    for state in range(size):
        outcomes = world.outcomes[state][policy[state]]
        assert sum(p for p, *_ in outcomes) == pytest.approx(1)
        for p, following, r, ended in outcomes:
            reward[state] += p * r
            move[state, following] += 0 if ended else p
    assert values == pytest.approx(np.linalg.solve(np.eye(size) - 0.9 * move, reward), abs=1e-8)
    assert (q <= values[:, None] + 1e-9).all()


def test_a_corridor_by_hand():
    world = from_text("S..G", step_cost=0.1)
    values, q = value_iteration(world, discount=0.5)
    assert values[:3] == pytest.approx([-0.1 + 0.5 * (-0.1 + 0.5 * 0.9), -0.1 + 0.5 * 0.9, 0.9])
    assert q.argmax(1)[:3].tolist() == [1, 1, 1]
    states, total = walk(world, q.argmax(1))
    assert states == [0, 1, 2, 3] and total == pytest.approx(0.7)


@pytest.mark.parametrize("slip", [0.0, 0.2])
def test_q_learning_finds_the_values_that_value_iteration_knows(slip):
    world = from_text("S.#.\n...o\n.#.G", slip=slip)
    learned = learn(world, episodes=4000, seed=3)
    values, q = value_iteration(world)
    lost = values - q[np.arange(len(q)), learned.policy]
    assert lost.max() < 0.03
    assert learned.q.max(1)[0] == pytest.approx(values[0], abs=0.05)
    assert learned.returns[-500:].mean() > learned.returns[:100].mean() + 0.5


def test_worlds_of_gymnasium_are_read_from_their_tables():
    end = [(1.0, 1, 0, True)]
    table = {0: {0: [(1.0, 0, 0.0, False)], 1: [(0.75, 1, 2.0, True), (0.25, 0, 0.0, False)]}, 1: {0: end, 1: end}}
    toy = SimpleNamespace(P=table, initial_state_distrib=[1.0, 0.0])
    values, _ = value_iteration(from_table(toy), discount=0.8)
    assert values == pytest.approx([0.75 * 2 / (1 - 0.25 * 0.8), 0])


@pytest.mark.parametrize(
    ("text", "said"), [("S.\n..", "no G"), ("S.G\n..", "Line 2"), ("S.G\n.x.", "column 2"), ("..G", "no S")]
)
def test_bad_maps_are_explained(text, said):
    with pytest.raises(DataError, match=said):
        from_text(text)


def test_missing_packages_say_how_to_install_them(monkeypatch):
    monkeypatch.setattr(extra, "find_spec", lambda name: None)
    monkeypatch.setattr(grid_world, "find_spec", lambda name: None)
    for use in (
        lambda: grow(DIGITS[:9], LABELS[:9]),
        lambda: join(DIGITS[:9]),
        lambda: separate(DIGITS[:9], LABELS[:9] % 2),
    ):
        with pytest.raises(MissingExtraError, match=r"pip install 'manako\[learn\]'"):
            use()
    with pytest.raises(MissingExtraError, match="pip install gymnasium"):
        grid_world.from_gymnasium("Taxi")
