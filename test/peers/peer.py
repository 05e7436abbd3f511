"""
A peer of wire v2 in Python, of its standard library alone, as PROTOCOL.md has it. It shares nothing with the TypeScript beside it, and
serves what conformance/README.md asks of a peer under test.

    python3 peer.py codec             decodes and encodes, a line of JSON each
    python3 peer.py serve [PORT]      accepts clients, and prints its URL
    python3 peer.py dial URL          dials a server, again and again
"""
import asyncio
import hmac
import json
import secrets
import sys

import link as links
from codec import DEFAULTS, ConnectionError_, Decoder, Encoder
from connection import SETTINGS, Connection, StreamError, code, mutant
from link import Closed

RANGES = {
    "maxMessageSize": (32768, 16777216), "maxFrameSize": (17408, 16777216), "maxHeadSize": (1024, 1048576),
    "maxConcurrentStreams": (0, 1000000), "streamWindow": (0, 2147483647), "connectionWindow": (65535, 2147483647),
    "headTableSize": (0, 65536), "upgrade": (0, 1),
}
CLOSES = {
    "HANDSHAKE_INVALID": 4100, "VERSION_UNSUPPORTED": 4102, "RESUME_REJECTED": 4108, "REPLACED": 4109,
}
SESSION = {"windowMillis": 60000, "replayBuffer": 1048576}
WINDOW = 60
TIMEOUT = 10


# --- what the peer serves --------------------------------------------------------------------------------------------

async def serve(connection, stream):
    method, target = stream.request["method"], stream.request["target"]
    plain = [["content-type", "text/plain"]]
    if target == "/ping":
        await answer(connection, stream, 200, plain, b"" if method == "HEAD" else b"pong")
    elif target == "/empty":
        connection.respond(stream, 204, [], True)
    elif target == "/echo":
        connection.respond(stream, 200, plain)
        while (part := await connection.read(stream)) is not None:
            await connection.send_body(stream, part)
        connection.end(stream)
    elif target == "/length":
        await answer(connection, stream, 200, plain, str(len(await connection.read_all(stream))).encode())
    elif target.startswith("/bytes/"):
        await answer(connection, stream, 200, plain, bytes(int(target[7:])))
    elif target == "/never":
        await asyncio.get_running_loop().create_future()
    elif target.startswith("/call/"):
        await answer(connection, stream, 200, plain, await called(connection, target[5:]))
    elif target == "/drain":
        connection.respond(stream, 204, [], True)
        asyncio.ensure_future(connection.drain())
    else:
        connection.respond(stream, 404, [], True)


async def answer(connection, stream, status, fields, body):
    connection.respond(stream, status, fields, not body)
    if body:
        await connection.send_body(stream, body)
        connection.end(stream)


async def called(connection, target):
    try:
        stream = await connection.call("GET", target)
        body = await connection.read_all(stream)
        return str(stream.response["status"]).encode() + b" " + body
    except StreamError:
        return b"failed"


# --- the handshake ---------------------------------------------------------------------------------------------------

class Refused(Exception):
    def __init__(self, name, reason="", is_told=True):
        super().__init__(f"{name}: {reason}")
        self.name, self.reason, self.is_told = name, reason, is_told


def is_int(value, least=0, most=2**53 - 1):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == int(value) and least <= value <= most


def parsed(message, type_):
    """A message of the handshake."""
    if not isinstance(message, str) or len(message.encode()) > 65536:
        raise Refused("HANDSHAKE_INVALID", f"no {type_}")
    try:
        value = json.loads(message)
    except ValueError:
        value = None
    if not isinstance(value, dict) or value.get("type") != type_:
        raise Refused("HANDSHAKE_INVALID", f"no {type_}")
    return value


def check(is_right, what):
    if not is_right:
        raise Refused("HANDSHAKE_INVALID", what)


def check_settings(message):
    settings = message.get("settings", {})
    check(isinstance(settings, dict), "settings")
    for name, (least, most) in RANGES.items():
        if name in settings and not mutant("any-setting"):
            check(is_int(settings[name], least, most), f"settings.{name}")
    return {name: settings[name] for name in RANGES if name in settings}


def check_session(session, *texts):
    check(isinstance(session, dict), "session")
    check(is_int(session.get("windowMillis")), "session.windowMillis")
    check(is_int(session.get("replayBuffer"), 32768), "session.replayBuffer")
    check(all(isinstance(session.get(name), str) for name in texts), "session")


def check_resume(resume):
    check(isinstance(resume, dict), "resume")
    check(all(isinstance(resume.get(name), str) for name in ("connectionId", "token", "epoch")), "resume")
    check(is_int(resume.get("received")), "resume.received")
    check("attempt" not in resume or is_int(resume["attempt"], 1), "resume.attempt")


class Kept:
    """What a server keeps of a connection that may be resumed."""

    def __init__(self, connection, token):
        self.connection, self.tokens, self.attempt, self.handshake = connection, [token], 0, 0


class Server:
    def __init__(self):
        self.epoch, self.kept = secrets.token_hex(8), {}

    async def accept(self, reader, writer):
        try:
            link = await links.accept(reader, writer)
            if link is not None:
                await self.shake(link)
        except (asyncio.IncompleteReadError, ConnectionError, Closed):
            writer.close()

    async def shake(self, link):
        try:
            connection, run = await asyncio.wait_for(self.judge(link), TIMEOUT)
        except Refused as refused:
            if refused.is_told:
                link.send(json.dumps({
                    "type": "refuse", "code": refused.name, "reason": refused.reason, "retry": refused.name == "REPLACED",
                }))
            link.close(CLOSES[refused.name])
            return await drained(link)
        except asyncio.TimeoutError:
            link.close(4101)
            return await drained(link)
        number = await run()
        if connection.link is link:
            connection.link = None
            if connection.may_resume(number, True):
                await asyncio.sleep(WINDOW)
                if connection.link is not None:
                    return
            self.kept.pop(connection.id, None)
            connection.end_all("the connection has ended")

    async def judge(self, link):
        hello = parsed(await link.receive(), "hello")
        version = hello.get("version")
        check(is_int(version, -(2**53)), "version")
        if version != 2 and not mutant("any-version"):
            raise Refused("VERSION_UNSUPPORTED", f"version {version}")
        settings = check_settings(hello)
        if "session" in hello:
            check_session(hello["session"])
        if "resume" in hello:
            check_resume(hello["resume"])
        kept = self.find(hello)
        resume = hello.get("resume")
        if kept is None:
            return await self.begin(link, hello, settings)
        connection = kept.connection
        kept.handshake += 1
        mine = kept.handshake
        kept.attempt = max(kept.attempt, resume.get("attempt", 0))
        if connection.link is not None:
            old, connection.link = connection.link, None
            old.close(4109)
        token = secrets.token_hex(16)
        kept.tokens = [resume["token"], token]
        link.send(json.dumps({
            "type": "welcome", "version": 2, "connectionId": connection.id, "settings": SETTINGS, "resumed": True,
            "session": {**SESSION, "token": token, "epoch": self.epoch, "received": connection.received},
        }))
        await ready(link)
        if mine != kept.handshake:
            link.close(4109)
            raise Closed(4109)
        kept.tokens = [token]
        has = 0 if mutant("replays-all") else resume["received"]
        return connection, lambda: attached(connection, link, max(has, connection.acknowledged))

    def find(self, hello):
        resume = hello.get("resume")
        if resume is None or "session" not in hello or resume["epoch"] != self.epoch:
            return None
        kept = self.kept.get(resume["connectionId"])
        if kept is None:
            return None
        connection = kept.connection
        if not any(hmac.compare_digest(token, resume["token"]) for token in kept.tokens) and not mutant("any-token"):
            raise Refused("RESUME_REJECTED")
        if resume.get("attempt", kept.attempt + 1) <= kept.attempt and not mutant("any-attempt"):
            raise Refused("REPLACED")
        if not connection.acknowledged <= resume["received"] <= connection.acknowledged + len(connection.kept):
            raise Refused("RESUME_REJECTED")
        return kept

    async def begin(self, link, hello, settings):
        id_, token = secrets.token_hex(16), secrets.token_hex(16)
        wish = hello.get("session")
        session = None if wish is None else {"own": SESSION["replayBuffer"], "peer": wish["replayBuffer"]}
        connection = Connection("server", id_, settings, session, serve)
        welcome = {"type": "welcome", "version": 2, "connectionId": id_, "settings": SETTINGS, "resumed": False}
        if session is not None:
            window = min(SESSION["windowMillis"], wish["windowMillis"])
            welcome["session"] = {**SESSION, "windowMillis": window, "token": token, "epoch": self.epoch}
            self.kept[id_] = Kept(connection, token)
        link.send(json.dumps(welcome))
        await ready(link)
        return connection, lambda: attached(connection, link, 0)


async def ready(link):
    message = await link.receive()
    try:
        parsed(message, "ready")
    except Refused:
        raise Refused("HANDSHAKE_INVALID", is_told=False) from None


async def attached(connection, link, peer_has):
    connection.attach(link, peer_has)
    return await connection.run(link)


async def drained(link):
    try:
        while True:
            await link.receive()
    except Closed:
        pass


class Client:
    def __init__(self, url):
        self.url, self.connection, self.session, self.attempt = url, None, None, 0

    async def run(self):
        while True:
            try:
                await self.once(await links.dial(self.url))
            except (OSError, asyncio.IncompleteReadError):
                # The runner has ended.
                return
            except (Closed, asyncio.TimeoutError):
                pass
            await asyncio.sleep(0.005)

    def hello(self):
        hello = {"type": "hello", "version": 2, "metadata": None, "settings": SETTINGS, "session": SESSION}
        if self.connection is not None:
            self.attempt += 0 if mutant("attempts-of-one-number") else 1
            hello["resume"] = {
                "connectionId": self.connection.id, "token": self.session["token"], "epoch": self.session["epoch"],
                "received": self.connection.received, "attempt": max(self.attempt, 1),
            }
        return hello

    def lose(self):
        if self.connection is not None:
            self.connection.end_all("the connection has ended")
        self.connection, self.session, self.attempt = None, None, 0

    async def once(self, link):
        hello = self.hello()
        link.send(json.dumps(hello))
        message = await asyncio.wait_for(link.receive(), TIMEOUT)
        try:
            welcome = self.judge(message, hello)
        except Refused as refused:
            self.lose()
            link.close(CLOSES[refused.name])
            return await drained(link)
        if welcome is None:
            return await drained(link)
        session = welcome.get("session")
        if not welcome["resumed"]:
            self.lose()
            own = None if session is None else {"own": SESSION["replayBuffer"], "peer": session["replayBuffer"]}
            self.connection = Connection("client", welcome["connectionId"], check_settings(welcome), own, serve)
        self.session = session
        connection = self.connection
        link.send(json.dumps({"type": "ready"}))
        number = await attached(connection, link, session["received"] if welcome["resumed"] else 0)
        connection.link = None
        if not (connection.may_resume(number, welcome["resumed"]) or (mutant("resumes-always") and session)):
            self.lose()

    def judge(self, message, hello):
        """The welcome, if it is one that this client can use; nothing where it was refused."""
        try:
            refuse = parsed(message, "refuse")
        except Refused:
            refuse = None
        if refuse is not None:
            check(isinstance(refuse.get("code"), str) and isinstance(refuse.get("retry"), bool), "refuse")
            if refuse["code"] in ("RESUME_REJECTED", "REPLACED", "IDENTITY_REPLACED") or not refuse["retry"]:
                self.lose()
            return None
        welcome = parsed(message, "welcome")
        check(is_int(welcome.get("version")) and welcome["version"] == 2, "version")
        id_ = welcome.get("connectionId")
        check(isinstance(id_, str) and id_ != "", "connectionId")
        check(isinstance(welcome.get("resumed"), bool), "resumed")
        check_settings(welcome)
        session = welcome.get("session")
        if "session" in welcome:
            check_session(session, "token", "epoch")
        if welcome["resumed"]:
            resume = hello.get("resume")
            check(resume is not None and resume["connectionId"] == id_ and session is not None, "another connection")
            check(is_int(session.get("received")), "session.received")
            kept = self.connection
            if not kept.acknowledged <= session["received"] <= kept.acknowledged + len(kept.kept):
                raise Refused("RESUME_REJECTED")
        return welcome


# --- vectors ---------------------------------------------------------------------------------------------------------

def shown(frame):
    if "data" in frame:
        return {**frame, "data": frame["data"].hex()}
    return {name: member for name, member in frame.items() if name != "of"}


def decoded(question):
    settings = {**DEFAULTS, **question["settings"]}
    decoder, frames = Decoder(settings, settings["upgrade"] == 1), []
    for index, message in enumerate(question["decode"]):
        try:
            frames.append([shown(frame) for frame in decoder.decode(bytes.fromhex(message))])
        except ConnectionError_ as error:
            return {"frames": frames, "error": {"code": error.code, "scope": "connection", "message": index}}
    return {"frames": frames}


def encoded(question):
    encoder = Encoder(question["settings"]["headTableSize"])
    read = lambda frame: {**frame, "data": bytes.fromhex(frame["data"])} if "data" in frame else frame
    return {"messages": [b"".join(encoder.frame(read(frame)) for frame in frames).hex() for frames in question["encode"]]}


def codec():
    for line in sys.stdin:
        question = json.loads(line)
        print(json.dumps(decoded(question) if "decode" in question else encoded(question)), flush=True)


async def main(role, *args):
    if role == "serve":
        server = await asyncio.start_server(Server().accept, "127.0.0.1", int(args[0]) if args else 0)
        print(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/", flush=True)
        await server.serve_forever()
    else:
        await asyncio.gather(*(Client(url).run() for url in args))


if __name__ == "__main__":
    if sys.argv[1] == "codec":
        codec()
    else:
        asyncio.run(main(*sys.argv[1:]))
