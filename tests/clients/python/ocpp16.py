"""A charger on `ocpp` and `websockets`, which checks every message against the OCPP 1.6 schemas.

It gets ENCHUFE_URL, ENCHUFE_TOKEN, STATION, PASSWORD and ID_TAG, and prints `ok - name` or
`not ok - name: why`. The everyday story is the same as in `../node/ocpp16.js`; beside it stands
what goes wrong on real streets.
"""

import asyncio
import base64
import json
import logging
import os
import re
import sys
import time
from contextlib import asynccontextmanager
from datetime import datetime, timedelta, timezone

import httpx
from ocpp.exceptions import InternalError, NotImplementedError, OCPPError, SecurityError
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import Action
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

URL, TOKEN = os.environ["ENCHUFE_URL"], os.environ["ENCHUFE_TOKEN"]
STATION, PASSWORD, ID_TAG = (os.environ[name] for name in ("STATION", "PASSWORD", "ID_TAG"))
HOUR = timedelta(hours=1)

# The library logs each error that a scenario provokes on purpose.
logging.getLogger("ocpp").setLevel(logging.CRITICAL)

# ---- The operator's side: HTTP

api = httpx.AsyncClient(
    base_url=f"{URL}/api/v1",
    headers={"authorization": f"Bearer {TOKEN}"},
    timeout=20,
    trust_env=False,
)


async def get(path):
    answer = await api.get(path)
    assert answer.status_code == 200, f"GET {path}: {answer.status_code} {answer.text}"
    return answer.json()


async def station():
    return await get(f"/stations/{STATION}")


async def ends(outcome, name, **parameters):
    """Sends a command and returns it, once it has ended as it should."""
    body = {"command": name, "parameters": parameters}
    answer = await api.post(f"/stations/{STATION}/commands?wait=10", json=body)
    assert answer.status_code == 200, f"{name}: {answer.status_code} {answer.text}"
    assert answer.json()["outcome"] == outcome, f"{name}: {answer.text}"
    return answer.json()


async def becomes(field, value):
    deadline = time.monotonic() + 5
    while (await station())[field] != value and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    assert (await station())[field] == value, f"{field} is {(await station())[field]}"


async def sessions(**query):
    return (await get(f"/sessions?{httpx.QueryParams(station_id=STATION, **query)}"))["sessions"]


# ---- The charger's side: OCPP


class Charger(ChargePoint):
    """Answers every command from `answers` and remembers what was asked."""

    answers = {
        Action.change_availability: call_result.ChangeAvailability("Accepted"),
        Action.change_configuration: call_result.ChangeConfiguration("Accepted"),
        Action.clear_cache: call_result.ClearCache("Accepted"),
        Action.data_transfer: call_result.DataTransfer("Accepted"),
        Action.get_configuration: call_result.GetConfiguration(unknown_key=["A"]),
        Action.remote_start_transaction: call_result.RemoteStartTransaction("Accepted"),
        Action.remote_stop_transaction: call_result.RemoteStopTransaction("Accepted"),
        Action.reset: call_result.Reset("Accepted"),
        Action.trigger_message: call_result.TriggerMessage("Accepted"),
        Action.unlock_connector: call_result.UnlockConnector("Unlocked"),
    }

    def __init__(self, socket):
        super().__init__(STATION, socket, response_timeout=10)
        self.answers = dict(Charger.answers)
        self.asked = []

    async def send(self, request, **options):
        return await self.call(request, suppress=False, **options)

    async def boot(self):
        return await self.send(call.BootNotification("Python 3", "Example", firmware_version="3.2.1"))

    async def report(self, connector, status, error_code="NoError"):
        await self.send(call.StatusNotification(connector, error_code, status, timestamp=at()))


def answers_to(action):
    def handler(self, **payload):
        self.asked.append((action, payload))
        answer = self.answers[action]
        if isinstance(answer, Exception):
            raise answer
        return answer

    handler.__name__ = f"on_{action.name}"
    return handler


for action in Charger.answers:
    handler = answers_to(action)
    setattr(Charger, handler.__name__, on(action)(handler))


def at(offset=timedelta()):
    return (datetime.now(timezone.utc) + offset).isoformat(timespec="milliseconds")


def socket(identity=STATION, password=PASSWORD, subprotocols=("ocpp1.6",), **options):
    credentials = base64.b64encode(f"{identity}:{password}".encode()).decode()
    return connect(
        f"{URL.replace('http', 'ws', 1)}/ocpp/{identity}",
        subprotocols=subprotocols,
        additional_headers={"authorization": f"Basic {credentials}"},
        proxy=None,
        **options,
    )


@asynccontextmanager
async def charger(**options):
    async with socket(**options) as connection:
        charger = Charger(connection)
        reading = asyncio.create_task(charger.start())
        reading.add_done_callback(stopped_reading)
        try:
            yield charger
        finally:
            reading.cancel()


def stopped_reading(task):
    error = None if task.cancelled() else task.exception()
    if error and not isinstance(error, ConnectionClosed):
        print(f"the client stopped reading: {error!r}", file=sys.stderr)


async def refused(status, **options):
    try:
        async with socket(**options):
            raise AssertionError("the connection was accepted")
    except InvalidStatus as error:
        assert error.response.status_code == status, f"got {error.response.status_code}"


# ---- The scenarios, in order

outside, inside = [], []  # those before there is a connection, and those that share one


@outside.append
async def a_wrong_password_is_refused_before_the_upgrade():
    await refused(401, password="not the password 123")


@outside.append
async def an_unknown_station_is_not_found():
    await refused(404, identity=f"{STATION}-NOT")


@outside.append
async def no_common_subprotocol_completes_the_handshake_and_closes():
    async with socket(subprotocols=("ocpp9.9",)) as connection:
        assert connection.subprotocol is None
        try:
            await asyncio.wait_for(connection.recv(), 5)
            raise AssertionError("the server spoke instead of closing")
        except ConnectionClosed:
            pass


@outside.append
async def a_command_to_a_station_that_is_not_connected_is_a_conflict():
    body = {"command": "clear_cache", "parameters": {}}
    answer = await api.post(f"/stations/{STATION}/commands", json=body)
    assert answer.status_code == 409, answer.text


@inside.append
async def only_a_boot_is_answered_before_a_boot(charger):
    try:
        await charger.send(call.Heartbeat())
        raise AssertionError("it was answered")
    except SecurityError:
        pass


@inside.append
async def a_boot_is_accepted_without_compression_too(charger):
    assert "Sec-WebSocket-Extensions" not in charger._connection.response.headers
    answer = await charger.boot()
    assert answer.status == "Accepted" and answer.interval > 0, answer
    told = await station()
    assert (told["vendor"], told["model"], told["firmware_version"]) == ("Example", "Python 3", "3.2.1")
    assert told["online"] is True


@inside.append
async def status_follows_the_reports(charger):
    await charger.report(0, "Available")
    for reported, expected in [
        ("Available", "available"),
        ("Preparing", "occupied"),
        ("Charging", "occupied"),
        ("SuspendedEV", "occupied"),
        ("SuspendedEVSE", "occupied"),
        ("Finishing", "occupied"),
        ("Reserved", "reserved"),
        ("Unavailable", "unavailable"),
        ("Faulted", "faulted"),
        ("Available", "available"),
    ]:
        error = "GroundFailure" if reported == "Faulted" else "NoError"
        await charger.report(1, reported, error)
        status = (await station())["status"]
        assert status == expected, f"{reported} made it {status}"


@inside.append
async def connector_0_speaks_for_the_station_alone(charger):
    await charger.report(0, "Faulted", "InternalError")
    told = await station()
    connector = told["evses"][0]["connectors"][0]
    assert (told["status"], connector["reported"]["status"]) == ("faulted", "available"), told
    await charger.report(0, "Available")
    assert (await station())["status"] == "available"


@inside.append
async def id_tags_are_judged(charger):
    await api.put("/id-tags/BLOCKED-TAG", json={"status": "blocked"})
    for id_tag, expected in [(ID_TAG, "Accepted"), ("BLOCKED-TAG", "Blocked"), ("NOBODY", "Invalid")]:
        answer = await charger.send(call.Authorize(id_tag))
        assert answer.id_tag_info["status"] == expected, f"{id_tag}: {answer}"


@inside.append
async def a_session_from_start_to_bill(charger):
    begin = call.StartTransaction(1, ID_TAG, 1000, at(-HOUR))
    started = await charger.send(begin)
    assert started.id_tag_info["status"] == "Accepted" and started.transaction_id > 0, started
    assert (await charger.send(begin)).transaction_id == started.transaction_id, "a retry got another id"
    await charger.report(1, "Charging")
    assert (await station())["status"] == "occupied"

    [active] = await sessions(active="true")
    assert str(active["transaction_id"]) == str(started.transaction_id), active
    transaction = str(started.transaction_id)
    await ends("accepted", "request_stop_transaction", transaction_id=transaction)
    await ends("accepted", "request_stop_transaction", session_id=active["id"])
    asked = (Action.remote_stop_transaction, {"transaction_id": started.transaction_id})
    assert charger.asked[-2:] == [asked, asked], charger.asked

    sample = {"value": "4500", "measurand": "Energy.Active.Import.Register", "unit": "Wh"}
    values = [{"timestamp": at(-HOUR / 2), "sampled_value": [sample]}]
    await charger.send(call.MeterValues(1, values, started.transaction_id))
    end = call.StopTransaction(8000, at(), started.transaction_id, reason="Local", id_tag=ID_TAG)
    await charger.send(end)
    await charger.send(end)
    ended = await get(f"/sessions/{active['id']}")
    assert (ended["state"], ended["energy_wh"], ended["billing_ready"]) == ("ended", 7000, True), ended
    assert any(value["energy_wh"] == 4500 for value in ended["meter_values"]), ended
    await charger.report(1, "Available")
    assert (await station())["status"] == "available"


@inside.append
async def an_implausible_session_is_kept_and_not_billed(charger):
    started = await charger.send(call.StartTransaction(1, ID_TAG, 0, at(-timedelta(minutes=5))))
    await charger.send(call.StopTransaction(910_000, at(), started.transaction_id))
    [kept] = [s for s in await sessions() if str(s["transaction_id"]) == str(started.transaction_id)]
    assert kept["state"] == "ended" and not kept["billing_ready"] and kept["billing_problems"], kept


@inside.append
async def a_start_on_an_unknown_connector_is_answered_and_kept(charger):
    started = await charger.send(call.StartTransaction(9, ID_TAG, 0, at(-timedelta(minutes=9))))
    assert started.transaction_id > 0, started
    await charger.send(call.StopTransaction(10, at(), started.transaction_id))
    assert any(str(s["transaction_id"]) == str(started.transaction_id) for s in await sessions())


@inside.append
async def a_refused_tag_starts_no_session(charger):
    started = await charger.send(call.StartTransaction(1, "BLOCKED-TAG", 0, at()))
    assert started.id_tag_info["status"] == "Blocked", started
    assert not any(s["state"] == "active" for s in await sessions())


@inside.append
async def a_stop_for_an_unknown_transaction_is_answered(charger):
    for transaction in (-1, 0, 2_000_000_000):
        await charger.send(call.StopTransaction(10, at(), transaction))


@inside.append
async def the_small_messages_are_answered(charger):
    told = datetime.fromisoformat((await charger.send(call.Heartbeat())).current_time.replace("Z", "+00:00"))
    assert abs(told - datetime.now(timezone.utc)) < timedelta(minutes=1), told
    await charger.send(call.DataTransfer("com.example", "ping", "{}"))
    await charger.send(call.FirmwareStatusNotification("Installed"))
    await charger.send(call.DiagnosticsStatusNotification("Idle"))


@inside.append
async def an_unknown_action_is_not_implemented(charger):
    class MakeCoffee(call.Heartbeat):
        pass

    try:
        await charger.send(MakeCoffee(), skip_schema_validation=True)
        raise AssertionError("it was answered")
    except NotImplementedError:
        pass


@inside.append
async def a_reused_message_id_gets_the_stored_answer(charger):
    begin = call.StartTransaction(1, ID_TAG, 5, at(-timedelta(minutes=1)))
    first = await charger.send(begin, unique_id="the-same-id")
    again = await charger.send(begin, unique_id="the-same-id")
    assert first == again, f"{first} then {again}"
    await charger.send(call.StopTransaction(6, at(), first.transaction_id))


@inside.append
async def every_command_is_heard_and_accepted(charger):
    reported = "boot_notification heartbeat meter_values status_notification " \
        "firmware_status_notification diagnostics_status_notification"
    connector = {"connector_id": 1}
    for name, parameters, action, heard in [
        ("reset", {"type": "soft"}, Action.reset, {"type": "Soft"}),
        ("reset", {"type": "hard"}, Action.reset, {"type": "Hard"}),
        ("unlock_connector", {"evse": 1, "connector": 1}, Action.unlock_connector, connector),
        ("change_availability", {"availability": "inoperative"}, Action.change_availability,
         {"connector_id": 0, "type": "Inoperative"}),
        ("change_availability", {"availability": "operative"}, Action.change_availability,
         {"connector_id": 0, "type": "Operative"}),
        ("change_availability", {"evse": 1, "connector": 1, "availability": "operative"},
         Action.change_availability, {"connector_id": 1, "type": "Operative"}),
        ("change_configuration", {"key": "A", "value": "1"}, Action.change_configuration,
         {"key": "A", "value": "1"}),
        ("get_configuration", {"keys": ["A"]}, Action.get_configuration, {"key": ["A"]}),
        ("get_configuration", {}, Action.get_configuration, {}),
        ("clear_cache", {}, Action.clear_cache, {}),
        ("request_start_transaction", {"id_tag": ID_TAG, "evse": 1},
         Action.remote_start_transaction, {"id_tag": ID_TAG, **connector}),
        ("data_transfer", {"vendor_id": "com.example", "data": "x"}, Action.data_transfer,
         {"vendor_id": "com.example", "data": "x"}),
        *(("trigger_message", {"message": message, "evse": 1}, Action.trigger_message,
           {"requested_message": message.title().replace("_", ""), **connector})
          for message in reported.split()),
    ]:
        await ends("accepted", name, **parameters)
        asked, payload = charger.asked[-1]
        # The station as a whole has no connector: a trigger may leave it out where OCPP does.
        if name == "trigger_message" and not re.search("meter|status_n", parameters["message"]):
            payload = {**connector, **payload}
        assert (asked, payload) == (action, heard), f"{name} {json.dumps(parameters)}: {charger.asked[-1]}"


@inside.append
async def a_refused_command_is_rejected(charger):
    charger.answers[Action.remote_start_transaction] = call_result.RemoteStartTransaction("Rejected")
    await ends("rejected", "request_start_transaction", id_tag=ID_TAG)
    charger.answers[Action.unlock_connector] = call_result.UnlockConnector("NotSupported")
    await ends("rejected", "unlock_connector", evse=1)
    charger.answers[Action.change_configuration] = call_result.ChangeConfiguration("NotSupported")
    await ends("rejected", "change_configuration", key="A", value="1")


@inside.append
async def a_command_the_charger_tried_in_vain_is_failed(charger):
    charger.answers[Action.unlock_connector] = call_result.UnlockConnector("UnlockFailed")
    ended = await ends("failed", "unlock_connector", evse=1)
    assert ended["response"] == {"status": "UnlockFailed"}, ended


@inside.append
async def a_command_answered_with_an_error_is_failed(charger):
    charger.answers[Action.reset] = InternalError(description="no hands")
    ended = await ends("failed", "reset", type="soft")
    assert "InternalError" in ended["detail"] or "no hands" in ended["detail"], ended


@inside.append
async def a_new_connection_takes_over_and_the_old_one_going_changes_nothing(old):
    async with charger() as new:
        assert "permessage-deflate" in new._connection.response.headers["Sec-WebSocket-Extensions"]
        await new.send(call.Heartbeat())
        await old._connection.close()
        await asyncio.sleep(0.3)
        assert (await station())["online"] is True
        await ends("accepted", "clear_cache")
        assert new.asked, "the new connection was not asked"
    await becomes("online", False)
    await becomes("status", "offline")


async def passes(scenario, *args):
    name = scenario.__name__.replace("_", " ")
    try:
        await asyncio.wait_for(scenario(*args), 60)
        print(f"ok - {name}")
        return True
    except Exception as error:  # whatever it is, the others are still worth trying
        print(f"not ok - {name}: {type(error).__name__}: {error}")
        return False


async def main():
    passed = [await passes(scenario) for scenario in outside]
    async with charger(compression=None) as story:
        passed += [await passes(scenario, story) for scenario in inside]
    await api.aclose()
    sys.exit(0 if all(passed) else 1)


asyncio.run(main())
