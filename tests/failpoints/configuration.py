"""Does what two people change about gateways survive? Asked for once, and made once, whoever dies on the way."""

import uuid
from contextlib import suppress
from datetime import timedelta
from typing import Any, ClassVar

from checkout.kit import clock
from checkout.kit.actors import Actor
from checkout.kit.errors import Refusal
from checkout.kit.models import Approval, User
from gateways import services
from gateways.models import Gateway, GatewayMaintenance, PendingCredentials, Region
from gateways.regions import RegionPlan
from tests.failpoints.purchases import Sale
from tests.failpoints.story import again


class _ForTwo(Sale):
    """Something about the spare gateway or its region is changed, after a sale elsewhere."""

    steps: ClassVar = ("sell", "prepare", "request", "decide")
    reason = "as agreed by phone"

    def prepare(self) -> None:
        """What has to be so before anybody can ask."""

    def want(self, maker: User, actor: Actor) -> Any:
        raise NotImplementedError

    def grant(self, approval: Approval, checker: User, actor: Actor) -> Any:
        raise NotImplementedError

    def is_made(self) -> bool:
        raise NotImplementedError

    def request(self) -> None:
        self.since = clock.now()
        again(self._request)

    def decide(self) -> None:
        again(self._decide)

    def others(self) -> None:
        """Meanwhile the page, which does not answer, is sent again, and the second person is quick."""
        super().others()
        if hasattr(self, "since"):
            self._request()
            self._decide()

    def end(self) -> None:
        super().end()
        assert [approval.status for approval in self._asked()] == ["approved"]
        assert self.is_made()

    @property
    def spare(self) -> Gateway:
        """The gateway that it is about, as it is now."""
        return Gateway.objects.get(code="spare")

    def _asked(self) -> list[Approval]:
        return list(Approval.objects.filter(created_at__gte=self.since))

    def _request(self) -> None:
        maker = self.world.people[0]
        if not self._asked():
            with suppress(Refusal):  # it is being asked for already
                self.want(maker, _at_desk(maker))

    def _decide(self) -> None:
        checker = self.world.people[1]
        for approval in self._asked():
            with suppress(Refusal):  # the second time it is decided already
                self.grant(approval, checker, _at_desk(checker))


class Enabled(_ForTwo):
    """A gateway that was disabled takes payments again."""

    def prepare(self) -> None:
        Gateway.objects.filter(code="spare").update(status="disabled")

    def want(self, maker: User, actor: Actor) -> Any:
        return services.request_enable(gateway=self.spare, reason=self.reason, maker=maker, actor=actor)

    def grant(self, approval: Approval, checker: User, actor: Actor) -> Any:
        return services.approve_enable(approval=approval, checker=checker, actor=actor)

    def is_made(self) -> bool:
        return self.spare.status == "enabled"


class Resumed(_ForTwo):
    """A gateway that the self-audit stopped takes payments again."""

    def prepare(self) -> None:
        services.stop_gateway(gateway=self.spare, reason="one charge too many", actor=Actor.task("self_audit"))

    def want(self, maker: User, actor: Actor) -> Any:
        return services.request_resume(gateway=self.spare, reason=self.reason, maker=maker, actor=actor)

    def grant(self, approval: Approval, checker: User, actor: Actor) -> Any:
        return services.approve_resume(approval=approval, checker=checker, actor=actor)

    def is_made(self) -> bool:
        return not self.spare.is_stopped


class EndedEarly(_ForTwo):
    """Maintenance is over before its time."""

    window: GatewayMaintenance

    def prepare(self) -> None:
        now = clock.now()
        self.window = services.plan_maintenance(
            gateway=self.spare,
            starts_at=now - timedelta(minutes=1),
            ends_at=now + timedelta(days=1),
            reason="new certificates",
            actor=_at_desk(self.world.people[0]),
        )

    def want(self, maker: User, actor: Actor) -> Any:
        return services.request_end_of_maintenance(window=self.window, reason=self.reason, maker=maker, actor=actor)

    def grant(self, approval: Approval, checker: User, actor: Actor) -> Any:
        return services.approve_end_of_maintenance(approval=approval, checker=checker, actor=actor)

    def is_made(self) -> bool:
        self.window.refresh_from_db()
        return self.window.canceled_at is not None


class Rotated(_ForTwo):
    """A gateway's notices come under another secret."""

    def prepare(self) -> None:
        self.secret = uuid.uuid4().hex

    def want(self, maker: User, actor: Actor) -> Any:
        values = {"notice_secret": self.secret}
        return services.request_rotation(
            gateway=self.spare, values=values, reason=self.reason, maker=maker, actor=actor
        )

    def grant(self, approval: Approval, checker: User, actor: Actor) -> Any:
        return services.approve_rotation(approval=approval, checker=checker, actor=actor)

    def is_made(self) -> bool:
        return self.spare.secrets["notice_secret"] == self.secret and not PendingCredentials.objects.exists()


class Rerouted(_ForTwo):
    """A region is called otherwise, and asks another gateway first."""

    def prepare(self) -> None:
        self.base = RegionPlan.of(self._region)
        first = {"south": 1, "spare": 2} if self.base.priorities.get("spare") == 1 else {"spare": 1, "south": 2}
        self.plan = RegionPlan(self.base.name, self.base.countries, self.base.is_everywhere_else, first)

    def want(self, maker: User, actor: Actor) -> Any:
        return services.request_region_change(
            region=self._region,
            plan=self.plan,
            base_version=self.base.version,
            reason=self.reason,
            maker=maker,
            actor=actor,
        )

    def grant(self, approval: Approval, checker: User, actor: Actor) -> Any:
        return services.approve_region_change(approval=approval, checker=checker, actor=actor)

    def is_made(self) -> bool:
        return RegionPlan.of(self._region) == self.plan

    @property
    def _region(self) -> Region:
        return Region.objects.get(code="everywhere-else")


def _at_desk(person: User) -> Actor:
    return Actor.user(person.username, "192.0.2.7")
