"""A link: one WebSocket (RFC 6455), of either side, without extensions."""
import asyncio
import base64
import hashlib
import os
import struct

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SUBPROTOCOL = "swaggersocket.v2"
MAX = 1 << 24


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


async def read_head(reader):
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin1").split("\r\n")
    fields = dict(line.split(":", 1) for line in lines[1:] if ":" in line)
    return lines[0], {name.strip().lower(): value.strip() for name, value in fields.items()}


class Closed(Exception):
    """The link has ended; 1006 where no close frame came."""

    def __init__(self, code):
        super().__init__(f"closed with {code}")
        self.code = code


class Link:
    def __init__(self, reader, writer, is_client):
        self.reader, self.writer, self.is_client = reader, writer, is_client
        self.is_closing = False

    def write(self, opcode, payload):
        head = bytes([0x80 | opcode])
        mask = 0x80 if self.is_client else 0
        size = len(payload)
        if size < 126:
            head += bytes([mask | size])
        elif size < 65536:
            head += bytes([mask | 126]) + struct.pack(">H", size)
        else:
            head += bytes([mask | 127]) + struct.pack(">Q", size)
        if self.is_client:
            key = os.urandom(4)
            stream = (key * (size // 4 + 1))[:size]
            payload = key + (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
        if not self.writer.is_closing():
            self.writer.write(head + payload)

    def send(self, message):
        if self.is_closing:
            return
        if isinstance(message, str):
            self.write(1, message.encode())
        else:
            self.write(2, message)

    def close(self, code):
        if not self.is_closing:
            self.is_closing = True
            self.write(8, struct.pack(">H", code))

    def drop(self):
        self.is_closing = True
        self.writer.close()

    async def frame(self):
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size == 126:
            size = struct.unpack(">H", await self.reader.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self.reader.readexactly(8))[0]
        if size > MAX:
            self.close(1009)
            raise Closed(1009)
        key = await self.reader.readexactly(4) if second & 0x80 else None
        payload = await self.reader.readexactly(size)
        if key:
            stream = (key * (size // 4 + 1))[:size]
            payload = (int.from_bytes(payload, "big") ^ int.from_bytes(stream, "big")).to_bytes(size, "big")
        return first & 0x80, first & 0x0F, payload

    async def receive(self):
        """The next message: text or bytes."""
        kind, parts = None, b""
        try:
            while True:
                final, opcode, payload = await self.frame()
                if opcode == 9:
                    self.write(10, payload)
                elif opcode == 8:
                    code = struct.unpack(">H", payload[:2])[0] if len(payload) >= 2 else 1005
                    self.close(code if code != 1005 else 1000)
                    self.writer.close()
                    raise Closed(code)
                elif opcode != 10:
                    kind = opcode or kind
                    parts += payload
                    if final:
                        return parts.decode() if kind == 1 else parts
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            self.drop()
            raise Closed(1006) from None


async def dial(url):
    host, path = url.removeprefix("ws://").split("/", 1)
    name, port = host.split(":")
    reader, writer = await asyncio.open_connection(name, int(port))
    key = base64.b64encode(os.urandom(16)).decode()
    writer.write((
        f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
    ).encode())
    status, fields = await read_head(reader)
    if " 101 " not in status or fields.get("sec-websocket-protocol") != SUBPROTOCOL:
        writer.close()
        raise Closed(1002)
    return Link(reader, writer, True)


async def accept(reader, writer):
    """The link of an upgrade request; none where it is refused."""
    _, fields = await read_head(reader)
    offered = fields.get("sec-websocket-protocol", "").split(",")[0].strip()
    if fields.get("upgrade", "").lower() != "websocket":
        answer = "426 Upgrade Required\r\nUpgrade: websocket"
    elif offered != SUBPROTOCOL:
        answer = "400 Bad Request"
    else:
        writer.write((
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept_of(fields['sec-websocket-key'])}\r\n"
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
        ).encode())
        return Link(reader, writer, False)
    writer.write(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    writer.close()
    return None
