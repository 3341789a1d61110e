"""The list: where service and program are killed, in the order in which their work passes the places."""

from collections.abc import Callable
from typing import Any

from shared.replication import retention
from tests.chaos.crash_points.strikes import Point, always

Only = Callable[[tuple[Any, ...], Any], bool]

_REPLICATION = "shared.replication"
_ACCESS = "services.sync_gateway.access"
_EXCHANGE = "services.sync_gateway.exchange"
_HTTP = "services.sync_gateway.http"
_TAKE_OVER = "services.sync_gateway.administration.change_workplaces:take_over"
_BUILDER = "services.snapshot_builder"
_DELIVER = "shared.messaging.bus:deliver"
_PUT = "shared.runtime.objects:Objects.put_stream"
_ENGINE = "workplace.engine"


class _Drive:
    """Makes the points of one drive."""

    def __init__(self, name: str) -> None:
        self._name = name

    def before(self, name: str, at: str, only: Only = always) -> Point:
        return Point(name, self._name, "before", at, only=only)

    def after(self, name: str, at: str, only: Only = always, nth: int = 1) -> Point:
        return Point(name, self._name, "after", at, nth, only)


def _leases(_: tuple[Any, ...], result: Any) -> bool:
    return bool(result)


def _object(prefix: str) -> Only:
    return lambda arguments, _: str(arguments[1]).startswith(prefix)


def _as_file(_: tuple[Any, ...], offer: Any) -> bool:
    return bool(offer.file is None)


def _directly(_: tuple[Any, ...], offer: Any) -> bool:
    return bool(offer.file is not None)


def _consumer(name: str) -> Only:
    return lambda arguments, _: bool(arguments[1].consumer == name)


def _forgets_repeated(arguments: tuple[Any, ...], _: Any) -> bool:
    return arguments[1] is retention._FORGET_REPEATED


def _puts(key: str) -> Only:
    return lambda arguments, _: bool(arguments[1] == key)


def _with_token(arguments: tuple[Any, ...], _: Any) -> bool:
    return arguments[1].token is not None


_exchange = _Drive("exchange")
_signing_in = _Drive("signing in")
_decision = _Drive("decision")
_retention = _Drive("retention")
_creation = _Drive("creation")
_ending = _Drive("ending")
_reissue = _Drive("reissue")
_upgrade = _Drive("upgrade")
_restore = _Drive("restore")
_activation = _Drive("activation")
_program = _Drive("program")
_program_repair = _Drive("program repair")
_program_upgrade = _Drive("program upgrade")
_program_restore = _Drive("program restore")

POINTS = (
    _signing_in.after("activation: token given, before COMMIT", f"{_ACCESS}.activate_workplace:issue"),
    _signing_in.after("activation: committed, not answered", f"{_HTTP}.activation:activate_workplace"),
    _exchange.after("opening: keys leased, no exchange yet", f"{_REPLICATION}.ranges:lease", _leases),
    _exchange.after("opening: exchange written, before COMMIT", f"{_EXCHANGE}.open_exchange:supersede"),
    _exchange.after("opening: committed, not answered", f"{_HTTP}.exchanges:open_exchange"),
    _exchange.after("message: taken in, nothing applied", f"{_EXCHANGE}.message_body:receive"),
    _exchange.after("apply: after staging", f"{_REPLICATION}.stage:stage"),
    _exchange.after("apply: after deciding", f"{_REPLICATION}.apply:decide"),
    _exchange.after("apply: in the middle of writing", f"{_REPLICATION}.write:_execute"),
    _exchange.after("apply: after writing", f"{_REPLICATION}.apply:write"),
    _exchange.after("apply: problems recorded", f"{_REPLICATION}.apply:record_problems"),
    _exchange.before("apply: before the answer is stored", f"{_REPLICATION}.apply:_store_answer"),
    _exchange.after("apply: answer stored, before COMMIT", f"{_REPLICATION}.apply:_store_answer"),
    _exchange.after("apply: committed, not counted", f"{_EXCHANGE}.receive_message:apply_message"),
    _exchange.after("apply: counted, not answered", f"{_HTTP}.exchanges:receive_message"),
    _exchange.after("delta: in the middle of its lines", f"{_REPLICATION}.delta:_framed", nth=3),
    _exchange.after("delta: in object storage, not recorded", _PUT, _object("deltas/")),
    _exchange.after("delta: recorded, before the 303", f"{_HTTP}.exchanges:offer_changes", _as_file),
    _exchange.after("delta: in the middle of its file", "shared.runtime.objects:Objects.open", _object("deltas/")),
    _exchange.after("delta: recorded, not answered", f"{_HTTP}.exchanges:offer_changes", _directly),
    _exchange.after("delta: in the middle of the answer", f"{_HTTP}.exchanges:_read_and_close"),
    _exchange.before("completion: before acknowledging", f"{_REPLICATION}.opening:acknowledge"),
    _exchange.after("completion: acknowledged, exchange not ended", f"{_REPLICATION}.opening:acknowledge"),
    _exchange.after("completion: ended, before COMMIT", f"{_EXCHANGE}.complete_exchange:finish"),
    _exchange.before("completion: committed, files not dropped", f"{_EXCHANGE}.complete_exchange:drop_files"),
    _exchange.after("completion: not answered", f"{_HTTP}.exchanges:complete_exchange"),
    _decision.after("decision: other version written, before COMMIT", f"{_REPLICATION}.problems:put_in_force"),
    _decision.after("decision: committed, not answered", f"{_HTTP}.problems:resolve_problem"),
    _retention.before("retention: seen marks gone, repeated ones not", "psycopg:Connection.execute", _forgets_repeated),
    _retention.after("retention: before COMMIT", "psycopg:Connection.execute", _forgets_repeated),
    _creation.before("request: workplace made, gateway does not know", _TAKE_OVER),
    _creation.after("licensing: seat granted, before COMMIT", "services.licensing.grant_seat:_answer"),
    _creation.after("licensing: seat granted, event not settled", _DELIVER, _consumer("grant_seat")),
    _creation.after("provisioning: package ordered, event not settled", _DELIVER, _consumer("prepare_workplace")),
    _creation.after("build: order accepted, event not settled", _DELIVER, _consumer("accept-request")),
    _creation.before("build: job claimed", f"{_BUILDER}.workers:run_job"),
    _creation.after("build: in the middle of reading", f"{_REPLICATION}.image:_copy", nth=2),
    _creation.after("build: base image uploaded, not recorded", _PUT, _object("base/")),
    _creation.after("build: personal part written, keys leased", f"{_BUILDER}.build_package:personalise"),
    _creation.after("build: in the middle of the upload", f"{_BUILDER}.build_package:write_package"),
    _creation.before("build: package uploaded, not recorded", f"{_BUILDER}.run_job:finish_built"),
    _creation.after("build: package recorded, before COMMIT", f"{_BUILDER}.run_job:finish_built"),
    _creation.after("build: finished", f"{_BUILDER}.run_job:_offer"),
    _creation.after("provisioning: package stored, event not settled", _DELIVER, _consumer("store_package")),
    _creation.after("gateway: workplace projected, event not settled", _DELIVER, _consumer("project_workplace")),
    _ending.before("ending: workplace deleted, gateway does not know", _TAKE_OVER),
    _ending.after("ending: seat released, event not settled", _DELIVER, _consumer("release_seat")),
    _ending.after("ending: packages ended, event not settled", _DELIVER, _consumer("end-workplace")),
    _reissue.before("reissue: package ordered, gateway does not know", _TAKE_OVER),
    _reissue.after("reissue: package uploaded, not recorded", f"{_BUILDER}.run_job:build_package"),
    _reissue.after("reissue: package stored, event not settled", _DELIVER, _consumer("store_package")),
    _upgrade.after("upgrade: capture installed, provisioning does not know", f"{_REPLICATION}.capture:install"),
    _upgrade.after("upgrade: schema worked out, not answered", f"{_HTTP}.exchanges:offer_schema"),
    _restore.after("restore: new generation, provisioning does not know", f"{_REPLICATION}.capture:restored"),
    _activation.before("program: activated, token not kept", f"{_ENGINE}.home:Home.store_credentials", _with_token),
    _program.before("program: keys received, not stored", f"{_ENGINE}.ranges:lease"),
    _program.after("program: keys stored, before COMMIT", f"{_ENGINE}.ranges:lease"),
    _program.after("program: frozen, before COMMIT", f"{_ENGINE}.freeze:freeze_within"),
    _program.after("program: frozen, not sent", f"{_ENGINE}.push:freeze"),
    _program.after("program: message halved, before COMMIT", f"{_ENGINE}.outbox:halve"),
    _program.after("program: message halved, not sent", f"{_ENGINE}.push:_shrink"),
    _program.after("program: sent, not settled", f"{_ENGINE}.service:Service.send_message"),
    _program.after("program: settled, before COMMIT", f"{_ENGINE}.outbox:drop"),
    _program.after("program: settled", f"{_ENGINE}.push:_settle"),
    _program.after("program: in the middle of the download", f"{_ENGINE}.spool:_continue"),
    _program.before("program: downloaded, not proven", f"{_ENGINE}.spool:Delta.prove"),
    _program.after("program: apply, removed and not inserted", f"{_ENGINE}.apply:_remove"),
    _program.after("program: apply, in the middle of inserting", f"{_ENGINE}.apply:_Inserts._write"),
    _program.after("program: apply, before COMMIT", f"{_ENGINE}.replica:Replica.put", _puts("scope_version")),
    _program.after("program: applied, not completed", f"{_ENGINE}.exchange:pull"),
    _program.after("program: completed, nothing noted", f"{_ENGINE}.exchange:_complete"),
    _program_repair.after("program: strays removed, rows not repaired", f"{_ENGINE}.apply:_remove"),
    _program_repair.after("program: repaired, not completed", f"{_ENGINE}.exchange:pull"),
    _program_upgrade.after("program: schema, in the middle of the SQL", f"{_ENGINE}.apply:statements", nth=3),
    _program_upgrade.after("program: schema changed, rows not applied", f"{_ENGINE}.apply:_change_schema"),
    _program_upgrade.after("program: new schema applied, not completed", f"{_ENGINE}.exchange:pull"),
    _program_restore.after("program: emptied for a reset", f"{_ENGINE}.apply:_empty"),
    _program_restore.after("program: reset applied, not completed", f"{_ENGINE}.exchange:pull"),
)
NAMED = {point.name: point for point in POINTS}
