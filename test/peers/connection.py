"""One connection of wire v2: streams, credit, sessions and drains (PROTOCOL.md, "Sessions" and "Streams" to "Errors")."""
import asyncio
import os
from collections import OrderedDict, deque

from codec import CODES, ConnectionError_, Decoder, Encoder, is_link_message
from link import Closed

SETTINGS = {"headTableSize": 4096, "maxConcurrentStreams": 100, "streamWindow": 262144, "connectionWindow": 1048576}
MAX_CREDIT = 2**31 - 1
REMEMBERED = 1024
# Survived by a session: 1006 and 1011 to 2999 besides (PROTOCOL.md, "Losing a link").
LOSSES = {4013, 4110}


def mutant(name):
    """Whether a test has put a fault into this peer."""
    return os.environ.get("MUTANT") == name


def code(name):
    return CODES.index(name)


class StreamError(Exception):
    pass


class Stream:
    def __init__(self, id_, is_own, request, credit, window):
        self.id, self.is_own, self.request = id_, is_own, request
        self.local = "body" if is_own else "head"
        self.remote = "head" if is_own else "body"
        self.credit, self.window = credit, window
        self.response, self.failure, self.task = None, None, None
        self.parts, self.unread, self.owed = deque(), 0, 0
        self.declared, self.received, self.bodiless = None, 0, False
        self.changed = asyncio.Event()

    def wake(self):
        self.changed.set()

    async def wait(self):
        self.changed.clear()
        await self.changed.wait()

    @property
    def is_closed(self):
        return self.failure is not None or (self.local == "end" and self.remote == "end")


def declared_length(fields):
    """The number in content-length; raises ValueError where it is wrong."""
    values = [value for name, value in fields if name == "content-length"]
    if not values or mutant("content-length-ignored"):
        return None
    if len(values) > 1 or not (values[0].isascii() and values[0].isdigit()) or int(values[0]) > 2**53 - 1:
        raise ValueError(values)
    return int(values[0])


def is_host(fields):
    hosts = [value for name, value in fields if name == "host"]
    return len(hosts) < 2 and not any(char in "/?#@\\," or char.isspace() for host in hosts for char in host)


class Connection:
    def __init__(self, role, id_, peer_settings, session, serve):
        self.role, self.id, self.serve = role, id_, serve
        self.peer = {**DEFAULT_PEER, **peer_settings}
        self.decoder, self.encoder = Decoder(SETTINGS), Encoder(self.peer["headTableSize"])
        self.session = session  # None, or the numbers that hold: window, own and peer's replay buffer
        self.link, self.ended = None, None
        self.streams, self.reset_ids = {}, OrderedDict()
        self.next_id, self.last_peer_id = (1 if role == "client" else 2), 0
        self.send_credit, self.receive_credit, self.owed = self.peer["connectionWindow"], SETTINGS["connectionWindow"], 0
        self.outbox, self.kept, self.kept_bytes = deque(), deque(), 0
        self.received, self.acknowledged, self.told, self.unacknowledged_bytes = 0, 0, 0, 0
        self.asked_at = -1
        self.own_last_id, self.peer_last_id, self.accused = None, None, False
        self.changed = asyncio.Event()
        self.heard = 0

    # --- sending -----------------------------------------------------------------------------------------------------

    def wake(self):
        self.changed.set()
        for stream in list(self.streams.values()):
            stream.wake()

    def queue(self, *frames):
        """Sends frames of the connection in one message, or keeps them until there is a link and room."""
        self.outbox.append(frames)
        self.flush()

    def link_frame(self, frame):
        if self.link is not None:
            self.link.send(self.encoder.frame(frame))

    @property
    def is_full(self):
        return self.session is not None and self.kept_bytes >= self.session["own"]

    def flush(self, is_last=False):
        while self.outbox and self.link is not None:
            if self.is_full and not is_last:
                if self.acknowledged >= self.asked_at:
                    self.asked_at = self.acknowledged + len(self.kept)
                    self.ping(b"full")
                return
            message = b"".join(self.encoder.frame(frame) for frame in self.outbox.popleft())
            if self.session is not None:
                self.kept.append(message)
                self.kept_bytes += len(message)
            self.link.send(message)

    def ping(self, data=b""):
        self.link_frame({"_tag": "Ping", "data": data})
        self.acknowledge()

    def acknowledge(self):
        if self.session is not None and self.told < self.received and not mutant("no-ack"):
            self.told, self.unacknowledged_bytes = self.received, 0
            self.link_frame({"_tag": "Ack", "received": self.received})

    def reset(self, id_, name, reason=""):
        self.reset_ids[id_] = True
        if len(self.reset_ids) > REMEMBERED:
            self.reset_ids.popitem(last=False)
        self.queue({"_tag": "Reset", "streamId": id_, "code": code(name), "reason": reason})

    def fail(self, stream, name):
        """Ends a stream for an error of the peer on it."""
        self.reset(stream.id, name)
        self.drop(stream, name)

    def drop(self, stream, why):
        was_over = stream.remote == "end" and stream.is_own
        self.streams.pop(stream.id, None)
        stream.local = "end"
        if not was_over:
            stream.failure = why
        stream.wake()
        if stream.task is not None and not stream.task.done():
            stream.task.cancel()
        self.wake()

    def close_if_ended(self, stream):
        if stream.local == "end" and stream.remote == "end" and self.streams.pop(stream.id, None) is not None:
            self.wake()

    async def send_body(self, stream, data):
        view = memoryview(data)
        while view:
            while not (stream.credit > 0 or mutant("stream-credit-ignored")) or not (
                self.send_credit > 0 or mutant("connection-credit-ignored")
            ):
                await stream.wait()
                if stream.failure is not None or stream.local == "end":
                    raise StreamError(stream.failure)
            room = [16384, len(view), self.peer["maxFrameSize"] - 16]
            room += [] if mutant("stream-credit-ignored") else [stream.credit]
            room += [] if mutant("connection-credit-ignored") else [self.send_credit]
            size = min(room)
            stream.credit -= size
            self.send_credit -= size
            self.queue({"_tag": "Data", "streamId": stream.id, "end": False, "data": bytes(view[:size])})
            view = view[size:]

    def end(self, stream):
        if stream.local == "body":
            stream.local = "end"
            self.queue({"_tag": "Data", "streamId": stream.id, "end": True, "data": b""})
            self.close_if_ended(stream)

    def respond(self, stream, status, fields, end=False):
        if stream.local == "head":
            stream.local = "end" if end else "body"
            self.queue({"_tag": "Response", "streamId": stream.id, "end": end, "status": status, "fields": fields})
            self.close_if_ended(stream)

    async def call(self, method, target):
        """Makes a call without a body; answers its stream, whose response may still be under way."""
        while len([stream for stream in self.streams.values() if stream.is_own]) >= self.peer["maxConcurrentStreams"]:
            self.changed.clear()
            await self.changed.wait()
        if self.ended is not None or (self.peer_last_id is not None and not mutant("opens-after-goaway")):
            raise StreamError("not sent")
        request = {"_tag": "Request", "streamId": self.next_id, "end": True, "method": method, "target": target}
        stream = Stream(self.next_id, True, request, 0, SETTINGS["streamWindow"])
        stream.local = "end"
        self.next_id += 2
        self.streams[stream.id] = stream
        self.queue({**request, "fields": []})
        while stream.response is None:
            if stream.failure is not None:
                raise StreamError(stream.failure)
            await stream.wait()
        return stream

    async def read(self, stream):
        """The next part of a body; none at its end."""
        while not stream.parts:
            if stream.failure is not None:
                raise StreamError(stream.failure)
            if stream.remote == "end":
                return None
            await stream.wait()
        part = stream.parts.popleft()
        stream.owed += len(part)
        if stream.owed * 2 >= SETTINGS["streamWindow"] and stream.remote != "end" and self.streams.get(stream.id) is stream:
            stream.window += stream.owed
            self.queue({"_tag": "Credit", "streamId": stream.id, "increment": stream.owed})
            stream.owed = 0
        return part

    async def read_all(self, stream):
        parts = []
        while (part := await self.read(stream)) is not None:
            parts.append(part)
        return b"".join(parts)

    # --- receiving ---------------------------------------------------------------------------------------------------

    def on_message(self, message):
        self.heard += 1
        if isinstance(message, str):
            raise ConnectionError_("PROTOCOL_ERROR", "a text after the handshake")
        for frame in self.decoder.decode(message):
            self.on_frame(frame)
        if self.session is not None and (mutant("counts-link-messages") or not is_link_message(message)):
            self.received += 1
            self.unacknowledged_bytes += len(message)
            if self.unacknowledged_bytes * 4 >= self.session["peer"]:
                self.acknowledge()

    def on_frame(self, frame):
        getattr(self, f"on_{frame['_tag'].lower()}")(frame)

    def on_ping(self, frame):
        self.link_frame({"_tag": "Pong", "data": b"" if mutant("pong-without-data") else frame["data"]})
        self.acknowledge()

    def on_pong(self, frame):
        pass

    def on_ack(self, frame):
        if self.session is None:
            return
        count = frame["received"]
        if not self.acknowledged <= count <= self.acknowledged + len(self.kept):
            if mutant("any-ack"):
                return
            raise ConnectionError_("PROTOCOL_ERROR", f"an ACK of {count}")
        self.forget(count)
        self.flush()
        self.wake()

    def forget(self, count):
        while self.acknowledged < count:
            self.acknowledged += 1
            self.kept_bytes -= len(self.kept.popleft())

    def is_peers(self, id_):
        return (id_ % 2 == 0) == (self.role == "client")

    def is_idle(self, id_):
        return id_ > self.last_peer_id if self.is_peers(id_) else id_ >= self.next_id

    def accept_id(self, id_):
        if mutant("any-id"):
            return
        if not self.is_peers(id_) or id_ <= self.last_peer_id:
            raise ConnectionError_("STREAM_ID_ERROR", f"the id {id_}")
        self.last_peer_id = id_

    def on_malformed(self, frame):
        if frame["of"] == "Request":
            self.accept_id(frame["streamId"])
            self.reset(frame["streamId"], frame["code"])
        elif (stream := self.stream_of(frame["streamId"])) is not None:
            self.fail(stream, frame["code"])

    def on_request(self, frame):
        id_ = frame["streamId"]
        self.accept_id(id_)
        is_sealed = self.own_last_id is not None and not mutant("serves-while-it-drains")
        theirs = [stream for stream in self.streams.values() if not stream.is_own]
        is_many = len(theirs) >= SETTINGS["maxConcurrentStreams"] and not mutant("no-limit-of-streams")
        if is_sealed or is_many:
            return self.reset(id_, "REFUSED_STREAM")
        stream = Stream(id_, False, frame, self.peer["streamWindow"], SETTINGS["streamWindow"])
        if frame["end"]:
            stream.remote = "end"
        try:
            stream.declared = declared_length(frame["fields"])
            if not is_host(frame["fields"]) or (frame["end"] and stream.declared):
                raise ValueError("host, or a body that is not there")
        except ValueError:
            return self.reset(id_, "MALFORMED")
        self.streams[id_] = stream
        stream.task = asyncio.ensure_future(self.handle(stream))

    async def handle(self, stream):
        try:
            await self.serve(self, stream)
        except StreamError:
            if self.streams.get(stream.id) is stream:
                self.fail(stream, "INTERNAL_ERROR")
            return
        if self.streams.get(stream.id) is stream and stream.local == "end":
            # The response has ended, and nobody reads the rest of the request.
            stream.task = None
            self.fail(stream, "NO_ERROR")

    def stream_of(self, id_):
        """The open stream; none where it has ended, which is answered where the peer does not know yet."""
        if id_ in self.streams:
            return self.streams[id_]
        if self.is_idle(id_):
            if mutant("idle-ignored"):
                return None
            raise ConnectionError_("PROTOCOL_ERROR", f"the idle stream {id_}")
        if id_ not in self.reset_ids or mutant("closed-answered-again"):
            self.reset(id_, "STREAM_CLOSED")
        return None

    def on_response(self, frame):
        stream = self.stream_of(frame["streamId"])
        if stream is None:
            return
        if stream.remote != "head":
            return self.fail(stream, "STREAM_CLOSED" if stream.remote == "end" else "PROTOCOL_ERROR")
        stream.remote = "body"
        status = frame["status"]
        stream.bodiless = stream.request["method"] == "HEAD" or status in (204, 304)
        try:
            stream.declared = declared_length(frame["fields"])
            if stream.bodiless:
                stream.declared = None
            if frame["end"] and stream.declared:
                raise ValueError("a body that is not there")
        except ValueError:
            return self.fail(stream, "MALFORMED")
        stream.response = frame
        if frame["end"]:
            stream.remote = "end"
        stream.wake()
        self.close_if_ended(stream)

    def on_data(self, frame):
        size = len(frame["data"])
        if size > self.receive_credit:
            raise ConnectionError_("FLOW_CONTROL_ERROR", "DATA beyond the credit of the connection")
        self.receive_credit -= size
        stream = self.streams.get(frame["streamId"])
        if stream is not None or not mutant("no-credit-for-discarded"):
            self.owed += size
        if self.owed * 2 >= SETTINGS["connectionWindow"]:
            self.receive_credit += self.owed
            self.queue({"_tag": "Credit", "streamId": 0, "increment": self.owed})
            self.owed = 0
        if stream is None:
            self.stream_of(frame["streamId"])
            return
        if stream.remote != "body":
            return self.fail(stream, "STREAM_CLOSED" if stream.remote == "end" else "PROTOCOL_ERROR")
        if size > stream.window and not mutant("stream-window-ignored"):
            return self.fail(stream, "FLOW_CONTROL_ERROR")
        stream.window -= size
        stream.received += size
        is_wrong = stream.declared is not None and (
            stream.received > stream.declared or (frame["end"] and stream.received < stream.declared)
        )
        if is_wrong or (stream.bodiless and size > 0 and not mutant("bodies-everywhere")):
            return self.fail(stream, "MALFORMED")
        if size > 0:
            stream.parts.append(frame["data"])
        if frame["end"]:
            stream.remote = "end"
        stream.wake()
        self.close_if_ended(stream)

    def on_reset(self, frame):
        id_ = frame["streamId"]
        stream = self.streams.get(id_)
        if stream is None:
            if self.is_idle(id_):
                raise ConnectionError_("PROTOCOL_ERROR", f"the idle stream {id_}")
            if mutant("reset-answered"):
                self.reset(id_, "STREAM_CLOSED")
            return
        self.drop(stream, f"reset with {frame['code']}")

    def on_credit(self, frame):
        id_, increment = frame["streamId"], frame["increment"]
        if id_ == 0:
            if self.send_credit + increment > MAX_CREDIT and not mutant("endless-credit"):
                raise ConnectionError_("FLOW_CONTROL_ERROR", "the credit of the connection")
            self.send_credit += increment
            return self.wake()
        stream = self.streams.get(id_)
        if stream is None:
            if self.is_idle(id_):
                raise ConnectionError_("PROTOCOL_ERROR", f"the idle stream {id_}")
        elif stream.local != "end":
            if stream.credit + increment > MAX_CREDIT and not mutant("endless-credit"):
                return self.fail(stream, "FLOW_CONTROL_ERROR")
            stream.credit += increment
            stream.wake()

    def on_goaway(self, frame):
        last = frame["lastStreamId"]
        if self.peer_last_id is not None and last > self.peer_last_id and not mutant("goaway-raised"):
            raise ConnectionError_("PROTOCOL_ERROR", "a GOAWAY that is raised")
        is_first = self.peer_last_id is None
        self.peer_last_id = last
        for stream in list(self.streams.values()):
            if stream.is_own and stream.id > last and not mutant("goaway-ends-nothing"):
                self.drop(stream, "not processed")
        if frame["code"] != 0:
            self.accused = True
            if mutant("goaway-answered"):
                self.go_away(0)
            asyncio.get_running_loop().call_later(1, self.close_link, self.link, 1000)
        elif is_first:
            asyncio.ensure_future(self.retire())

    # --- ending ------------------------------------------------------------------------------------------------------

    def go_away(self, number, is_last=False):
        self.own_last_id = self.last_peer_id
        frame = {"_tag": "GoAway", "lastStreamId": self.own_last_id, "code": number, "reason": ""}
        if is_last:
            self.outbox.clear()
        self.outbox.append((frame,))
        self.flush(is_last)

    def close_link(self, link, number):
        if link is not None and link is self.link:
            link.close(number)

    @property
    def is_quiet(self):
        return not self.streams and not self.outbox and not (self.session is not None and self.kept)

    async def retire(self):
        while self.ended is None:
            if self.is_quiet:
                await asyncio.sleep(1)
                if self.is_quiet:
                    return self.close_link(self.link, 1000)
            else:
                self.changed.clear()
                if self.kept:
                    self.ping()
                await self.changed.wait()

    async def drain(self):
        self.go_away(0)
        while self.ended is None and not self.is_quiet:
            self.changed.clear()
            if not self.streams and self.kept:
                self.ping()
            await self.changed.wait()
        self.close_link(self.link, 1000)

    def violated(self, error):
        """Tells the peer what it has done wrong."""
        if not mutant("no-goaway"):
            self.go_away(code(error.code), True)
        self.link.close(1002 if mutant("wrong-close") else 4000 + code(error.code))

    def end_all(self, why):
        self.ended = why
        for stream in list(self.streams.values()):
            self.drop(stream, why)
        self.changed.set()

    # --- links -------------------------------------------------------------------------------------------------------

    def attach(self, link, peer_has):
        """Uses a link: the peer has received so many counted messages."""
        self.link = link
        if self.session is not None:
            self.forget(peer_has)
            self.told, self.unacknowledged_bytes, self.asked_at = self.received, 0, -1
            again = [] if mutant("replays-nothing") else list(self.kept)
            for message in again:
                link.send(message)
        self.flush()

    def may_resume(self, number, has_resumed):
        is_loss = number in LOSSES or number == 1006 or 1011 <= number <= 2999
        return (
            self.session is not None and not self.accused
            and (is_loss or (has_resumed and number in (4101, 4106)))
        )

    async def run(self, link):
        """Acts on what a link brings until it ends; answers the close code."""
        watch = asyncio.ensure_future(self.watch(link))
        try:
            while True:
                message = await link.receive()
                if self.link is not link:
                    continue
                try:
                    self.on_message(message)
                except ConnectionError_ as error:
                    self.violated(error)
                    # Whatever comes now is not acted on.
                    while True:
                        await link.receive()
        except Closed as closed:
            return closed.code
        finally:
            watch.cancel()

    async def watch(self, link):
        while True:
            await asyncio.sleep(25)
            heard = self.heard
            self.ping()
            await asyncio.sleep(20)
            if self.heard == heard:
                if self.session is None:
                    self.go_away(code("HEARTBEAT_TIMEOUT"), True)
                link.close(4013)
                link.drop()


DEFAULT_PEER = {
    "maxMessageSize": 65536, "maxFrameSize": 32768, "maxHeadSize": 16384, "maxConcurrentStreams": 100,
    "streamWindow": 262144, "connectionWindow": 1048576, "headTableSize": 4096, "upgrade": 0,
}
