"""What a scenario says that could not come to anything: nodes that can find nobody, faults after the end of the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .scenario import NodesTable, Scenario, SiteTable

Found = list[tuple[str, str]]  # where, and what is wrong


def check(scenario: Scenario, found: Found) -> None:
    """Look at a scenario whose words, names and numbers are right."""
    _check_times(scenario, found)
    sites = {site.name: site for site in scenario.site}
    groups = {group.name: group for group in scenario.nodes}
    for number, group in enumerate(scenario.nodes):
        for key in ("follow", "know"):
            for name in getattr(group, key):
                if name != "*" and not _reaches(group, groups[name], sites):
                    found.append(
                        (f"nodes[{number}].{key}", f"{group.name} have no way to {name}: {_why(group, groups[name])}")
                    )
        if group.role == "board" and not _finds(group, list(groups.values()), sites):
            found.append(
                (
                    f"nodes[{number}]",
                    f"{group.name} can find nobody: on the internet they have to know a gateway or bootstrap node",
                )
            )


def _check_times(scenario: Scenario, found: Found) -> None:
    for kind in ("fault", "attack"):
        for number, each in enumerate(getattr(scenario, kind)):
            if each.at_min >= scenario.minutes:
                found.append((f"{kind}[{number}].at_min", f"the run is over after {scenario.minutes:g} minutes"))
    if scenario.settle_min >= scenario.minutes and (scenario.traffic or scenario.lookups.per_min):
        found.append(
            ("settle_min", f"traffic and look-ups would begin after the end of the run, {scenario.minutes:g} minutes")
        )


def _lan(group: NodesTable, sites: dict[str, SiteTable]) -> SiteTable | None:
    site = sites.get(group.site)
    return site if site is not None and site.kind == "lan" else None


def _reaches(group: NodesTable, other: NodesTable, sites: dict[str, SiteTable]) -> bool:
    """Whether nodes of one group may dial those of another."""
    here, there = _lan(group, sites), _lan(other, sites)
    if here is there:
        return True
    if here is not None and not here.nat:
        return False
    return there is None or (bool(there.nat) and other.name in there.forward)


def _why(group: NodesTable, other: NodesTable) -> str:
    return f"a site without nat has no way out, and {other.site or 'a site'} lets callers in to those of its forward only"


def _finds(group: NodesTable, groups: list[NodesTable], sites: dict[str, SiteTable]) -> bool:
    """Whether its nodes find others: by beacon on a LAN, as somebody whom they know, or as others know them."""
    if _lan(group, sites) is not None:
        return True

    def knows(one: NodesTable, other: NodesTable) -> bool:
        is_known = other.name in one.know or ("*" in one.know and other.role != "board") or other.name in one.follow
        return is_known and _reaches(one, other, sites)

    return any(knows(group, other) or knows(other, group) for other in groups)
