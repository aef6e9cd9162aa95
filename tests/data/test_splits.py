from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cardiomorph.anatomy import GROUPS
from cardiomorph.data.splits import split_subjects

cohorts = st.lists(st.sampled_from(GROUPS), min_size=2, max_size=40).map(
    lambda groups: {f"p{index:02d}": group for index, group in enumerate(groups)}
)
shares = st.floats(0, 0.9)
seeds = st.integers(0, 2**31)


@given(cohorts, shares, seeds)
def test_each_group_holds_out_its_share(groups, share, seed):
    split = split_subjects(groups, [], share, seed)
    assert split.keys() == groups.keys()
    for group in set(groups.values()):
        mine = [name for name in groups if groups[name] == group]
        assert sum(split[name] == "heldout" for name in mine) == round(share * len(mine))


@given(cohorts, shares, seeds, st.data())
def test_one_heart_stays_on_one_side_and_no_more_is_held_out_than_asked(groups, share, seed, data):
    names = data.draw(st.permutations(sorted(groups)))
    cuts = data.draw(st.lists(st.integers(2, 3), max_size=3))
    twins, start = [], 0
    for size in cuts:
        members = sorted(names[start : start + size])
        if len(members) > 1:
            twins.append(members)
        start += size
    split = split_subjects(groups, twins, share, seed)
    for members in twins:
        assert len({split[name] for name in members}) == 1
    of_set = {name: groups[members[0]] for members in twins for name in members}
    for group in set(groups.values()):
        mine = [name for name in groups if of_set.get(name, groups[name]) == group]
        assert sum(split[name] == "heldout" for name in mine) <= round(share * len(mine))


@given(cohorts, shares, seeds)
def test_a_seed_gives_one_split_whatever_the_order(groups, share, seed):
    backwards = dict(reversed(groups.items()))
    assert split_subjects(groups, [], share, seed) == split_subjects(backwards, [], share, seed)


def test_seeds_differ():
    groups = {f"p{index:02d}": "NOR" for index in range(20)}
    assert len({tuple(split_subjects(groups, [], 0.3, seed).values()) for seed in range(5)}) > 1
