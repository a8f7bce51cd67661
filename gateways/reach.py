"""Who would be asked first, country by country, and what would a change do to that? Pure, as routing is."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from checkout.kit.countries import COUNTRIES
from checkout.kit.modes import Mode
from gateways.routing import Candidate, RoutingQuestion, decide

NOBODY = ""


@dataclass(frozen=True)
class Site:
    """What is known of a gateway now, wherever its places are."""

    mode: str
    status: str
    health_status: str
    currencies: frozenset[str]
    methods: frozenset[str]
    stopped_reason: str = ""
    maintenance_until: str = ""
    maintenance_reason: str = ""

    def candidate(self, code: str, priority: int, currency: str, method: str) -> Candidate:
        """The same as a candidate in a region."""
        return Candidate(
            gateway=code,
            priority=priority,
            mode=self.mode,
            status=self.status,
            health_status=self.health_status,
            takes_currency=currency in self.currencies,
            takes_method=method in self.methods,
            configuration="",
            stopped_reason=self.stopped_reason,
            maintenance_until=self.maintenance_until,
            maintenance_reason=self.maintenance_reason,
        )


@dataclass(frozen=True)
class Area:
    """A region: its countries, and the priority of each of its gateways by code."""

    countries: frozenset[str]
    is_everywhere_else: bool
    priorities: Mapping[str, int]


@dataclass(frozen=True)
class Network:
    """All regions and all gateways, by code."""

    areas: Mapping[str, Area]
    sites: Mapping[str, Site]

    def with_area(self, code: str, area: Area) -> "Network":
        """The same with one region as it would be."""
        return replace(self, areas={**self.areas, code: area})

    def with_site(self, code: str, **changes: str) -> "Network":
        """The same with one gateway as it would be."""
        return replace(self, sites={**self.sites, code: replace(self.sites[code], **changes)})  # type: ignore[arg-type]


@dataclass(frozen=True)
class Effect:
    """Countries whose first gateway is one and would be another; NOBODY where none takes the payment.

    `currencies` are those for which it is so, none of them named where it is so for all that the mode's gateways take.
    """

    mode: str
    now: str
    then: str
    currencies: tuple[str, ...]
    countries: tuple[str, ...]


@dataclass(frozen=True)
class Preview:
    """What a change would do, in groups of countries alike."""

    effects: tuple[Effect, ...]

    @property
    def moved(self) -> list[Effect]:
        """First another gateway than now."""
        return [effect for effect in self.effects if NOBODY not in (effect.now, effect.then)]

    @property
    def lost(self) -> list[Effect]:
        """Taken by somebody now, and then by nobody."""
        return [effect for effect in self.effects if effect.now != NOBODY and effect.then == NOBODY]

    @property
    def gained(self) -> list[Effect]:
        """Taken by nobody now, and then by somebody."""
        return [effect for effect in self.effects if effect.now == NOBODY and effect.then != NOBODY]

    @property
    def missing(self) -> list[Effect]:
        """Taken by nobody, now as then."""
        return [effect for effect in self.effects if effect.now == effect.then == NOBODY]

    @property
    def changed(self) -> list[Effect]:
        """All that becomes otherwise."""
        return [*self.lost, *self.moved, *self.gained]

    @property
    def is_live(self) -> bool:
        """Whether real payments would go elsewhere."""
        return any(effect.mode == Mode.LIVE for effect in self.changed)


def count_countries(effects: list[Effect]) -> int:
    """How many countries they speak of, each counted once."""
    return len({country for effect in effects for country in effect.countries})


def compare(before: Network, after: Network) -> Preview:
    """What changes for which countries, in the modes and currencies that any of the gateways take.

    Whether a gateway is up, in maintenance or stopped counts as it is now.
    """
    kinds = _kinds(before)
    now, then = _firsts(before, kinds), _firsts(after, kinds)
    alike: dict[tuple[str, str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for (country, number), first in now.items():
        if first != then[country, number] or first == NOBODY:
            alike[kinds[number].mode, first, then[country, number]][country].add(number)
    return Preview(tuple(_effects(alike, kinds)))


@dataclass(frozen=True)
class _Kind:
    """Payments that the same gateways can take: one of their currencies and methods stands for all."""

    mode: str
    pairs: tuple[tuple[str, str], ...]


def _kinds(network: Network) -> list[_Kind]:
    kinds = []
    for mode in Mode.values:
        sites = {code: site for code, site in network.sites.items() if site.mode == mode}
        takers: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        pairs = {
            (currency, method) for site in sites.values() for currency in site.currencies for method in site.methods
        }
        for currency, method in sorted(pairs):
            taking = [code for code, site in sites.items() if currency in site.currencies and method in site.methods]
            takers[tuple(taking)].append((currency, method))
        kinds += [_Kind(mode, tuple(alike)) for alike in takers.values()]
    return kinds


def _firsts(network: Network, kinds: list[_Kind]) -> dict[tuple[str, int], str]:
    """By country and kind of payment, the code of the gateway that is asked first."""
    elsewhere = min((code for code, area in network.areas.items() if area.is_everywhere_else), default=NOBODY)
    homes = dict.fromkeys(COUNTRIES, elsewhere)
    for code, area in sorted(network.areas.items(), reverse=True):
        homes.update(dict.fromkeys(area.countries, code))
    chosen = {
        (code, number): _first(network, code, kind)
        for code in {*homes.values()} - {NOBODY}
        for number, kind in enumerate(kinds)
    }
    return {
        (country, number): chosen.get((home, number), NOBODY)
        for country, home in homes.items()
        for number in range(len(kinds))
    }


def _first(network: Network, code: str, kind: _Kind) -> str:
    currency, method = kind.pairs[0]
    question = RoutingQuestion(
        region=code, country="", currency=currency, mode=kind.mode, payment_method_type=method, amount_minor=0
    )
    places = network.areas[code].priorities.items()
    candidates = [network.sites[site].candidate(site, priority, currency, method) for site, priority in places]
    return decide(question, candidates).chosen or NOBODY


def _effects(alike: Mapping[tuple[str, str, str], Mapping[str, set[int]]], kinds: list[_Kind]) -> Iterator[Effect]:
    of_mode = {mode: {n for n, kind in enumerate(kinds) if kind.mode == mode} for mode in Mode.values}
    for (mode, now, then), countries in sorted(alike.items()):
        groups: dict[frozenset[int], list[str]] = defaultdict(list)
        for country, concerned in countries.items():
            groups[frozenset(concerned)].append(country)
        for numbers, group in groups.items():
            labels = () if numbers == of_mode[mode] else _labels(kinds, numbers)
            yield Effect(mode, now, then, labels, tuple(sorted(group)))


def _labels(kinds: list[_Kind], numbers: frozenset[int]) -> tuple[str, ...]:
    pairs = [pair for number in numbers for pair in kinds[number].pairs]
    has_one_method = len({method for kind in kinds for _, method in kind.pairs}) == 1
    return tuple(sorted({currency if has_one_method else f"{currency} by {method}" for currency, method in pairs}))
