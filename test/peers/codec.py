"""Messages, frames and heads of wire v2 (PROTOCOL.md, "Messages", "Frames" and "Heads")."""
import re

CODES = [
    "NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "STREAM_CLOSED", "FRAME_SIZE_ERROR",
    "REFUSED_STREAM", "CANCELLED", "HEAD_TABLE_ERROR", "EXCESSIVE_LOAD", "MALFORMED", "HEAD_TOO_LARGE",
    "UNKNOWN_FRAME", "HEARTBEAT_TIMEOUT", "NOT_SERVING", "STREAM_ID_ERROR",
]
MAX = 2**53 - 1
END = 0x80
REQUEST, RESPONSE, DATA, RESET, CREDIT, GOAWAY, PING, PONG, ACK = 1, 2, 3, 4, 5, 6, 0x10, 0x11, 0x12
METHODS = ["", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "QUERY", "TRACE"]
DROPPED = {"connection", "http2-settings", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"}
NEVER_ADDED = {
    "b3", "content-length", "content-range", "date", "etag", "idempotency-key", "last-modified", "location", "range",
    "traceparent", "tracestate", "x-correlation-id", "x-request-id",
}
STATIC = [tuple(line.split("=", 1)) for line in """accept=*/*
accept=application/json
accept-encoding=gzip, deflate
accept-language=
authorization=
b3=
cache-control=no-cache
cache-control=no-store
content-disposition=
content-encoding=gzip
content-length=
content-length=0
content-type=application/json
content-type=application/x-ndjson
content-type=application/octet-stream
content-type=application/x-www-form-urlencoded
content-type=text/event-stream
content-type=text/plain
content-type=text/plain; charset=utf-8
content-type=text/html; charset=utf-8
cookie=
date=
etag=
host=
if-match=
if-modified-since=
if-none-match=
last-modified=
location=
origin=
priority=
range=
content-range=
accept-ranges=bytes
referer=
retry-after=
server=
set-cookie=
traceparent=
tracestate=
user-agent=
vary=
www-authenticate=
x-request-id=
x-correlation-id=
idempotency-key=
access-control-allow-origin=*
allow=""".split("\n")]

DEFAULTS = {
    "maxMessageSize": 65536, "maxFrameSize": 32768, "maxHeadSize": 16384, "maxConcurrentStreams": 100,
    "streamWindow": 262144, "connectionWindow": 1048576, "headTableSize": 4096, "upgrade": 0,
}


class ConnectionError_(Exception):
    """An error that ends the connection."""

    def __init__(self, code, reason=""):
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


def is_link_type(type_):
    return type_ & 0xF0 == 0x10


# --- primitives ------------------------------------------------------------------------------------------------------

def varint(value):
    for size, limit in ((1, 2**6), (2, 2**14), (4, 2**30), (8, 2**62)):
        if value < limit:
            prefix = {1: 0, 2: 1, 4: 2, 8: 3}[size] << (size * 8 - 2)
            return (value | prefix).to_bytes(size, "big")
    raise ValueError(value)


def string(text):
    data = text.encode()
    return varint(len(data)) + data


class Reader:
    def __init__(self, data, at=0, end=None):
        self.data, self.at, self.end = data, at, len(data) if end is None else end

    def has_varint(self):
        return self.at < self.end and self.at + (1 << (self.data[self.at] >> 6)) <= self.end

    def byte(self):
        if self.at >= self.end:
            raise ConnectionError_("PROTOCOL_ERROR", "a member is cut short")
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        if not self.has_varint():
            raise ConnectionError_("PROTOCOL_ERROR", "a varint is cut short")
        size = 1 << (self.data[self.at] >> 6)
        value = int.from_bytes(self.data[self.at:self.at + size], "big") & ((1 << (size * 8 - 2)) - 1)
        self.at += size
        if value > MAX:
            raise ConnectionError_("PROTOCOL_ERROR", "a varint above 2^53 - 1")
        if size > 1 and value < {2: 2**6, 4: 2**14, 8: 2**30}[size]:
            raise ConnectionError_("PROTOCOL_ERROR", "a varint that is not in its shortest form")
        return value

    def bytes(self, size):
        if size > self.end - self.at:
            raise ConnectionError_("PROTOCOL_ERROR", "a string is cut short")
        self.at += size
        return self.data[self.at - size:self.at]

    def text(self, size):
        try:
            return self.bytes(size).decode("utf-8", "strict")
        except UnicodeDecodeError:
            raise ConnectionError_("PROTOCOL_ERROR", "text that is not UTF-8") from None

    def string(self):
        return self.text(self.varint())

    def rest(self):
        return self.bytes(self.end - self.at)


# --- heads -----------------------------------------------------------------------------------------------------------

class Table:
    """The dynamic table of one direction: the newest entry first."""

    def __init__(self, capacity):
        self.capacity, self.entries, self.size = capacity, [], 0

    def add(self, name, value):
        size = len(name.encode()) + len(value.encode()) + 32
        while self.entries and self.size + size > self.capacity:
            self.size -= self.entries.pop()[2]
        if size <= self.capacity:
            self.entries.insert(0, (name, value, size))
            self.size += size

    def get(self, index):
        if index < len(STATIC):
            return STATIC[index]
        if index - len(STATIC) < len(self.entries):
            return self.entries[index - len(STATIC)][:2]
        raise ConnectionError_("HEAD_TABLE_ERROR", f"there is no entry {index}")


TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
TARGET = re.compile(r"/[!\"$-~]*|\*")


def is_name(name):
    return len(name) <= 256 and NAME.fullmatch(name) is not None


def is_value(value):
    return not re.search("[\r\n\0]", value)


class Decoder:
    def __init__(self, settings, upgrade=False):
        self.settings, self.upgrade, self.table = {**DEFAULTS, **settings}, upgrade, Table(settings["headTableSize"])

    def fields(self, reader, size):
        """The fields to the end, the size of the head, and whether one is forbidden."""
        fields, is_good = [], True
        while reader.at < reader.end:
            first = reader.byte()
            if first & 0x80:
                index = first & 0x7F
                name, value = self.table.get(index + reader.varint() if index == 127 else index)
            else:
                index = first & 0x3F
                more = reader.varint() if index == 63 else None
                name = reader.string() if more == 0 else self.table.get(index if more is None else 62 + more)[0]
                value = reader.string()
                if first & 0x40:
                    self.table.add(name, value)
            size += len(name.encode()) + len(value.encode()) + 32
            is_good = is_good and is_name(name) and is_value(value)
            # What is dropped counts, and nothing is kept beyond the limit.
            is_dropped = name in DROPPED and not (name == "upgrade" and self.upgrade)
            if not is_dropped and size <= self.settings["maxHeadSize"]:
                fields.append([name, value])
        return fields, size, is_good

    def head(self, frame, reader, size, is_good):
        fields, size, are_good = self.fields(reader, size)
        if not (is_good and are_good):
            return {"_tag": "Malformed", "streamId": frame["streamId"], "code": "MALFORMED", "of": frame["_tag"]}
        if size > self.settings["maxHeadSize"]:
            return {"_tag": "Malformed", "streamId": frame["streamId"], "code": "HEAD_TOO_LARGE", "of": frame["_tag"]}
        return {**frame, "fields": fields}

    def request(self, reader, end, stream):
        byte = reader.byte()
        if byte >= len(METHODS):
            raise ConnectionError_("PROTOCOL_ERROR", f"the method {byte}")
        method = reader.string() if byte == 0 else METHODS[byte]
        target = reader.string()
        is_good = (
            TOKEN.fullmatch(method) is not None and len(method) <= 32 and method != "CONNECT"
            and TARGET.fullmatch(target) is not None and len(target) <= 8192
        )
        frame = {"_tag": "Request", "streamId": stream, "end": end, "method": method, "target": target}
        return self.head(frame, reader, len(target.encode()), is_good)

    def response(self, reader, end, stream):
        status = reader.varint()
        if not (200 <= status <= 599 or (status == 101 and self.upgrade)):
            raise ConnectionError_("PROTOCOL_ERROR", f"the status {status}")
        return self.head({"_tag": "Response", "streamId": stream, "end": end, "status": status}, reader, 0, True)

    def payload(self, type_, end, reader):
        if type_ in (PING, PONG):
            data = reader.rest()
            if len(data) > 125:
                raise ConnectionError_("FRAME_SIZE_ERROR", "too much data")
            return {"_tag": "Ping" if type_ == PING else "Pong", "data": data}
        first = reader.varint()
        if type_ == ACK:
            return {"_tag": "Ack", "received": first}
        if type_ == GOAWAY:
            return {"_tag": "GoAway", "lastStreamId": first, "code": reader.varint(), "reason": self.reason(reader)}
        if type_ == CREDIT:
            increment = reader.varint()
            if not 1 <= increment < 2**31:
                raise ConnectionError_("PROTOCOL_ERROR", f"a credit of {increment}")
            return {"_tag": "Credit", "streamId": first, "increment": increment}
        if first == 0:
            raise ConnectionError_("PROTOCOL_ERROR", "the stream 0")
        if type_ == REQUEST:
            return self.request(reader, end, first)
        if type_ == RESPONSE:
            return self.response(reader, end, first)
        if type_ == DATA:
            return {"_tag": "Data", "streamId": first, "end": end, "data": reader.rest()}
        return {"_tag": "Reset", "streamId": first, "code": reader.varint(), "reason": self.reason(reader)}

    def reason(self, reader):
        if reader.end - reader.at > 256:
            raise ConnectionError_("FRAME_SIZE_ERROR", "a reason that is too long")
        return reader.text(reader.end - reader.at)

    def decode(self, message):
        """Yields the frames of a message."""
        if not message:
            raise ConnectionError_("PROTOCOL_ERROR", "an empty message")
        if len(message) > self.settings["maxMessageSize"]:
            raise ConnectionError_("FRAME_SIZE_ERROR", "a message that is too long")
        at, count, is_link = 0, 0, None
        while at < len(message):
            count += 1
            if count > 1024:
                raise ConnectionError_("EXCESSIVE_LOAD", "more than 1,024 frames")
            type_, end = message[at] & 0x7F, bool(message[at] & END)
            if not (REQUEST <= type_ <= GOAWAY or PING <= type_ <= ACK or type_ >= 0x40):
                raise ConnectionError_("UNKNOWN_FRAME", f"the type {type_}")
            if end and type_ > DATA:
                raise ConnectionError_("PROTOCOL_ERROR", "END where none may be")
            if type_ < 0x40:
                if is_link not in (None, is_link_type(type_)):
                    raise ConnectionError_("PROTOCOL_ERROR", "two kinds of frames in one message")
                is_link = is_link_type(type_)
            reader = Reader(message, at + 1)
            if not reader.has_varint():
                raise ConnectionError_("FRAME_SIZE_ERROR", "a length that is cut short")
            length = reader.varint()
            if length > self.settings["maxFrameSize"] or length > len(message) - reader.at:
                raise ConnectionError_("FRAME_SIZE_ERROR", "a frame that is too long")
            at = reader.at + length
            if type_ >= 0x40:
                continue
            inner = Reader(message, reader.at, at)
            frame = self.payload(type_, end, inner)
            if inner.at != at:
                raise ConnectionError_("PROTOCOL_ERROR", "bytes behind the last member")
            yield frame


class Encoder:
    def __init__(self, capacity):
        self.table = Table(capacity)

    def field(self, name, value):
        entries = STATIC + [entry[:2] for entry in self.table.entries]
        if (name, value) in entries:
            index = entries.index((name, value))
            return bytes([0x80 | index]) if index < 127 else b"\xff" + varint(index - 127)
        names = [entry[0] for entry in STATIC]
        index = names.index(name) if name in names else 63
        size = len(name.encode()) + len(value.encode()) + 32
        is_added = name not in NEVER_ADDED and len(value.encode()) <= 256 and size <= self.table.capacity
        if is_added:
            self.table.add(name, value)
        written = varint(0) + string(name) if index == 63 else b""
        return bytes([(0x40 if is_added else 0) | index]) + written + string(value)

    def fields(self, fields):
        return b"".join(self.field(name, value) for name, value in fields)

    def frame(self, frame):
        tag, stream = frame["_tag"], varint(frame.get("streamId", 0))
        if tag == "Request":
            method = frame["method"]
            number = METHODS.index(method) if method in METHODS else 0
            method = bytes([number]) if number else b"\0" + string(method)
            return self.whole(REQUEST, frame["end"], stream + method + string(frame["target"]) + self.fields(frame["fields"]))
        if tag == "Response":
            return self.whole(RESPONSE, frame["end"], stream + varint(frame["status"]) + self.fields(frame["fields"]))
        if tag == "Data":
            return self.whole(DATA, frame["end"], stream + frame["data"])
        if tag == "Reset":
            return self.whole(RESET, False, stream + varint(frame["code"]) + frame["reason"].encode())
        if tag == "Credit":
            return self.whole(CREDIT, False, stream + varint(frame["increment"]))
        if tag == "GoAway":
            payload = varint(frame["lastStreamId"]) + varint(frame["code"]) + frame["reason"].encode()
            return self.whole(GOAWAY, False, payload)
        if tag == "Ack":
            return self.whole(ACK, False, varint(frame["received"]))
        return self.whole(PING if tag == "Ping" else PONG, False, frame["data"])

    def whole(self, type_, end, payload):
        return bytes([type_ | (END if end else 0)]) + varint(len(payload)) + payload


def is_link_message(message):
    """Whether a valid message is not counted."""
    at = 0
    while at < len(message):
        type_ = message[at] & 0x7F
        if type_ < 0x40:
            return is_link_type(type_)
        reader = Reader(message, at + 1)
        length = reader.varint()
        at = reader.at + length
    return False
