/**
 * Wire v1 with anything for a peer: it answers, or names a violation, in bounded time and memory.
 *
 * FUZZ_SEED repeats a run, FUZZ_COUNT makes it longer.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as Option from "effect/Option"
import { ErrorCode } from "../../src/internal/frame/codes.ts"
import { randomness } from "../../src/internal/scheduling/random.ts"
import type { MuxStream } from "../../src/internal/streams/stream.ts"
import { accept, dial } from "../../src/internal/v1/handshake.ts"
import * as Limits from "../../src/Limits.ts"
import { isSwaggerSocketError, LinkError, SwaggerSocketError } from "../../src/SwaggerSocketError.ts"
import { type Accepted, Recorder } from "../streams/joined.ts"
import { assertLinear, cpuMillis } from "../support/cost.ts"
import { extent } from "../support/extent.ts"
import { liveBytes } from "../support/measurements.ts"
import { Random } from "../support/random.ts"
import { answer, bodyOf, bytesOf, End, Joined } from "./machine.ts"
import { handshakeMessage, mutated, validRequest, validResponse } from "./mutations.ts"
import { Parsing } from "./parsed.ts"

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32))
const count = extent("FUZZ_COUNT", 20_000, 500_000)
/** Milliseconds of the processor for one message; generous, as it may have to collect garbage. */
const worstAllowed = 500
const maxReason = 300
const mebibyte = 1024 * 1024

const codes = new Set<number>(Object.values(ErrorCode))
const hex = (message: Uint8Array | string): string =>
  typeof message === "string" ? JSON.stringify(message) : Buffer.from(message).toString("hex")

/** A caller, with what the machine owes it. */
class Caller extends Recorder {
  cancelled = false

  get isDone(): boolean {
    return this.ended || this.failure !== undefined || this.cancelled
  }
}

/** One connection: messages until one is a violation. */
class Connection {
  readonly end: End
  private readonly random: Random
  private readonly callers: Array<Caller> = []
  private readonly open: Array<Accepted> = []
  private readonly received: Array<string> = []
  /** What leaves has to be HTTP, too; answers to HEAD have no body that their length would count. */
  private readonly requests = new Parsing("REQUEST", 1 << 20, false)
  private readonly responses = new Parsing("RESPONSE", 1 << 20, false)
  /** Of the call that was sent last. */
  private id: string | undefined = undefined
  private method = ""

  constructor(random: Random) {
    this.random = random
    this.end = new End({
      role: random.pick(["client", "server"]),
      limits: {
        streamWindow: random.pick([1000, 262_144]),
        maxHeadSize: random.pick([1024, 16_384]),
        maxConcurrentStreams: random.pick([0, 1, 3, 100, 100]),
        resetBurst: random.pick([0, 50, 1000]),
        sendBuffer: random.pick([1, 100, 65_536])
      },
      maxRequestSize: random.pick([300, 1 << 20]),
      onRequest: (stream, request) => {
        if (random.chance(0.05)) return { code: random.pick([...codes]), reason: "refused" }
        const handler = new Recorder()
        stream.handler = handler
        if (random.chance(0.05)) {
          handler.onData = () => ({ code: ErrorCode.MALFORMED, reason: "the body is odd" }) as never
        }
        this.open.push({ stream: stream as MuxStream, request, handler })
        return undefined
      }
    })
  }

  /** Answers the milliseconds of the processor that it took, and whether the connection is over. */
  receive(message: Uint8Array | string): { readonly elapsed: number; readonly isOver: boolean } {
    this.received.push(hex(message))
    let violation: ReturnType<End["mux"]["receive"]>
    let elapsed = cpuMillis(() => {
      violation = this.guard("a message", () => this.end.mux.receive(message))
    })
    const { active, unreadBytes } = this.end.mux
    this.verify(unreadBytes >= 0, `${unreadBytes} bytes are unread`)
    this.verify(active.local >= 0 && active.remote >= 0 && active.waiting >= 0, JSON.stringify(active))
    if (violation !== undefined) {
      this.verify(codes.has(violation.code) && violation.code !== ErrorCode.NO_ERROR, `the code ${violation.code}`)
      this.verify(violation.reason.length <= maxReason, `a reason of ${violation.reason.length}`)
    }
    if (violation === undefined) {
      elapsed += cpuMillis(() => {
        this.act()
        this.send()
      })
    }
    const isOver = violation !== undefined || this.end.broken.length > 0
    if (isOver) this.finish()
    return { elapsed, isOver }
  }

  /** The next message: what the peer may say now, or not. */
  next(wild: number): Uint8Array | string {
    const { random } = this
    return mutated(random, () => {
      if (random.chance(0.03)) return handshakeMessage(random)
      const isAwaited = this.end.mux.active.local > 0
      return random.chance(isAwaited ? 0.6 : 0.01) ? validResponse(random, this.method, this.id) : validRequest(random)
    }, wild)
  }

  /** What applications do meanwhile. */
  private act(): void {
    const { end: { clock, mux }, random } = this
    this.guard("an application", () => {
      if (random.chance(0.5)) {
        const caller = new Caller()
        this.callers.push(caller)
        const end = random.chance(0.7)
        const stream = mux.open(random.pick(["GET", "HEAD", "POST"]), "/", [], end, caller)
        if ("outcome" in stream) return this.verify(false, "the connection is open")
        if (!end) {
          mux.write(stream, new Uint8Array(random.skewed(500)).fill(0x78))
          mux.finish(stream)
        }
        if (random.chance(0.2)) {
          caller.cancelled = true
          mux.reset(stream, ErrorCode.CANCELLED, "")
        }
      }
      for (let left = random.int(3); left > 0 && this.open.length > 0; left--) {
        const { handler, stream } = this.open.splice(random.int(this.open.length), 1)[0]!
        if (random.chance(0.3)) mux.consumed(stream, stream.unread)
        if (random.chance(0.05) && handler.failure === undefined) mux.reset(stream, ErrorCode.INTERNAL_ERROR, "failed")
        const end = random.chance(0.3)
        mux.respond(stream, random.pick([200, 204, 304, 500]), [["x", "y"], ["x-correlation-id", "handler"]], end)
        for (let chunks = random.int(4); chunks > 0; chunks--) mux.write(stream, new Uint8Array(random.skewed(5000)))
        mux.finish(stream)
        mux.stopReading(stream)
      }
      if (random.chance(0.05)) clock.advance(random.pick([10, 10, 10, 10_000]))
      mux.isReadable()
    })
  }

  private send(): void {
    const messages = this.guard("sending", () => {
      const messages: Array<Uint8Array | string> = []
      for (let message = this.end.mux.pull(); message !== undefined; message = this.end.mux.pull()) {
        messages.push(message)
      }
      return messages
    })
    for (const message of messages) {
      const bytes = bytesOf(message)
      this.verify(bytes.length > 0, "an empty message leaves")
      const text = Buffer.from(bytes.subarray(0, 2000)).toString("latin1")
      const isResponse = this.responses.parser.busy || text.startsWith("HTTP/1.1 ")
      const fault = (isResponse ? this.responses : this.requests).feed(bytes)
      this.verify(fault === undefined, `what leaves is ${fault?.reason}: ${text}`)
      if (isResponse) continue
      this.id = /X-Correlation-Id: (.*)\r\n/.exec(text)?.[1]
      this.method = text.split(" ")[0]!
    }
  }

  /** The connection ends: nobody is left waiting. */
  finish(): void {
    this.guard("the end", () => this.end.mux.fail({ code: ErrorCode.INTERNAL_ERROR, reason: "over" }))
    this.verify(this.callers.every(({ isDone }) => isDone), "a call hears nothing")
    this.verify(
      this.open.every(({ handler, stream }) => handler.failure !== undefined || stream.isClosed),
      "so a handler"
    )
    const { active, unreadBytes } = this.end.mux
    this.verify(unreadBytes === 0, `${unreadBytes} bytes are unread at the end`)
    this.verify(active.local + active.remote + active.waiting === 0, JSON.stringify(active))
    this.verify(this.end.mux.pull() === undefined, "something leaves after the end")
  }

  private guard<A>(what: string, run: () => A): A {
    try {
      return run()
    } catch (error) {
      return this.fail(`${what} throws ${error instanceof Error ? error.stack : String(error)}`)
    }
  }

  private verify(condition: boolean, what: string): void {
    if (!condition) this.fail(what)
  }

  private fail(what: string): never {
    return assert.fail(`FUZZ_SEED=${seed}: ${what}\n${this.received.slice(-40).join("\n").slice(-20_000)}`)
  }
}

/** Two ends that have nothing to do with what was before. */
const assertHealthy = (): void => {
  const joined = new Joined()
  const { handler } = joined.client.upload("/", "question")
  joined.settle()
  joined.server.respond(0, 200, "answer")
  joined.settle()
  assert.deepStrictEqual([handler.status, bodyOf(handler), handler.ended], [200, "answer", true])
}

describe("random messages", () => {
  it(`${count} random messages from seed ${seed} take bounded time and memory`, { timeout: 60_000 + count }, () => {
    // oxlint-disable-next-line no-console
    console.log(`FUZZ_SEED=${seed} FUZZ_COUNT=${count}`)
    const random = new Random(seed)
    const before = liveBytes()
    let [connections, violations, messages, total, worst] = [0, 0, 0, 0, 0]
    let worstMessage = ""
    while (messages < count) {
      connections++
      const connection = new Connection(random)
      const wild = random.pick([0.02, 0.2, 0.9])
      for (let left = 40, isOver = false; !isOver && messages < count; left--) {
        messages++
        const message = connection.next(wild)
        const received = connection.receive(message)
        total += received.elapsed
        if (received.elapsed > worst) {
          worst = received.elapsed
          worstMessage = hex(message)
        }
        isOver = received.isOver
        if (isOver) violations++
        if (!isOver && left === 1) {
          connection.finish()
          break
        }
      }
      if (connections % 100 === 0) assertHealthy()
    }
    const growth = (liveBytes() - before) / mebibyte
    // oxlint-disable-next-line no-console
    console.log(
      `${connections} connections, ${violations} violations, ${total.toFixed(0)} ms of the processor in all, ${
        worst.toFixed(1)
      } ms at worst, ${growth.toFixed(1)} MiB more than before`
    )
    assert.isBelow(worst, worstAllowed, `FUZZ_SEED=${seed}: ${worstMessage.slice(0, 2000)}`)
    assert.isBelow(growth, 16, `FUZZ_SEED=${seed}`)
    // Else the messages would not test what they should.
    assert.isAbove(violations, connections * 0.2)
    assert.isAbove(connections - violations, connections * 0.02)
  })

  it("a connection that receives a hundred times more random messages keeps no more memory", () => {
    const random = new Random(seed)
    const end = new End({ limits: { resetBurst: 1_000_000 } })
    const some = (messages: number) => {
      for (let left = messages; left > 0; left--) {
        // No answer was asked for.
        const message = mutated(random, () => validRequest(random), 0.5)
        // Blank lines before a message are passed over.
        const first = bytesOf(message).find((byte) => byte !== 0x0d && byte !== 0x0a)
        if (first !== 0x48) assert.isUndefined(end.receive(message), `FUZZ_SEED=${seed}`)
        for (const { stream } of end.accepted.splice(0)) {
          end.mux.respond(stream, 200, [], true)
          end.mux.stopReading(stream)
        }
        end.send()
      }
    }
    some(100)
    const before = liveBytes()
    some(10_000)
    assert.isBelow(liveBytes() - before, 4 * mebibyte, `FUZZ_SEED=${seed}`)
    assert.isAtMost(end.mux.active.remote, 1)
  })
})

describe("random handshakes", () => {
  const gone = new SwaggerSocketError({ reason: new LinkError({ phase: "read", description: "gone" }) })

  /** Says what it is told to, and then nothing more. */
  const linkOf = (messages: ReadonlyArray<Uint8Array | string>) => {
    const left = [...messages]
    return {
      receive: Effect.suspend(() => left.length > 0 ? Effect.succeed(left.shift()!) : Effect.fail(gone)),
      send: () => Effect.void
    }
  }

  const limits = Limits.make({ maxHandshakeSize: 2000 })
  const secure = Effect.runSync(randomness)
  const settings = Limits.defaults
  const acceptAny = (messages: ReadonlyArray<Uint8Array | string>) =>
    Effect.flatMap(
      accept(
        linkOf(messages),
        {
          limits,
          settings,
          upgrade: { headers: Headers.empty, url: "/", remoteAddress: Option.none() },
          decodeMetadata: Effect.succeed,
          authenticate: Effect.succeed,
          welcome: () => Effect.succeed({ connectionId: "id", resumed: false })
        },
        secure,
        () => {}
      ),
      ({ ready }) => ready
    )

  it("5,000 random handshakes of clients and 5,000 of servers end with a success or a known error", () => {
    const random = new Random(seed)
    const seen = { passed: 0, HandshakeRefused: 0, LinkError: 0 }
    let worst = 0
    const run = (
      messages: ReadonlyArray<Uint8Array | string>,
      handshake: Effect.Effect<unknown, SwaggerSocketError>
    ) => {
      const said = `FUZZ_SEED=${seed}: ${messages.map(hex).join(" ").slice(0, 4000)}`
      let exit: Exit.Exit<unknown, SwaggerSocketError> = Exit.void
      const elapsed = cpuMillis(() => {
        exit = Effect.runSyncExit(handshake)
      })
      worst = Math.max(worst, elapsed)
      if (Exit.isSuccess(exit)) return seen.passed++
      const failure = exit.cause.reasons[0]
      if (failure?._tag !== "Fail" || !isSwaggerSocketError(failure.error)) {
        return assert.fail(`${said}\n${Cause.pretty(exit.cause)}`)
      }
      const { reason } = failure.error
      if (reason._tag === "HandshakeRefused") {
        assert.strictEqual(reason.code, "HANDSHAKE_INVALID", said)
        assert.isBelow(reason.description.length, 1000, said)
      } else {
        assert.strictEqual(reason._tag, "LinkError", said)
      }
      return seen[reason._tag as keyof typeof seen]++
    }
    for (let left = 5000; left > 0; left--) {
      const wild = random.pick([0, 0.1, 0.9])
      const message = (kind: string) =>
        mutated(random, () => random.chance(0.02) ? validRequest(random) : handshakeMessage(random, [kind]), wild)
      const ofClient = [message("meta"), message("ack")].slice(0, random.chance(0.9) ? 2 : 1)
      run(ofClient, acceptAny(ofClient))
      const ofServer = [message("id")].slice(0, random.chance(0.9) ? 1 : 0)
      const metadata = random.pick([null, undefined, { a: 1 }])
      run(ofServer, dial(linkOf(ofServer), { limits, settings, metadata }, secure))
    }
    // oxlint-disable-next-line no-console
    console.log(`${JSON.stringify(seen)}, ${worst.toFixed(1)} ms at worst`)
    assert.isBelow(worst, worstAllowed, `FUZZ_SEED=${seed}`)
    for (const times of Object.values(seen)) assert.isAbove(times, 200)
  })
})

describe("expensive messages", () => {
  const casesOf = (big: number): Readonly<Record<string, string>> => ({
    "spaces before a colon": `GET / HTTP/1.1\r\nx${" ".repeat(big)}: y\r\n\r\n`,
    "spaces around a value": `GET / HTTP/1.1\r\nx:${" ".repeat(big)}y${" ".repeat(big)}\r\n\r\n`,
    "a request line of words": `GET ${"a ".repeat(big / 2)}HTTP/1.1\r\n\r\n`,
    "a method that does not end": "G".repeat(big),
    "an absolute target that does not end": `GET http://${"h".repeat(big)} HTTP/1.1\r\n\r\n`,
    "the smallest fields": `GET / HTTP/1.1\r\n${"a:\r\n".repeat(big / 4)}\r\n`,
    "lengths": `GET / HTTP/1.1\r\n${"content-length: 1\r\n".repeat(big / 20)}\r\n`,
    "connections": `GET / HTTP/1.1\r\n${"connection: x\r\n".repeat(big / 16)}\r\n`,
    "the smallest chunks": `POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n${"1\r\nx\r\n".repeat(big / 6)}`,
    "the size of a chunk": `POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1${" ".repeat(big)}x\r\n`,
    "empty lines": "\r\n".repeat(big / 2),
    "empty lines and a letter": `${"\r\n".repeat(big / 2)}x`,
    "the smallest requests": "GET / HTTP/1.1\n\n".repeat(big / 16),
    "interim answers": `${"HTTP/1.1 100 \r\n\r\n".repeat(big / 18)}${answer(200, "")}`,
    "a reason": `HTTP/1.1 200 ${" ".repeat(big)}\r\ncontent-length: 0\r\n\r\n`
  })
  for (const name of Object.keys(casesOf(8))) {
    it(`a megabyte of ${name} takes at most 24 times the processor time of an eighth of it`, () =>
      assertLinear(mebibyte, (size) => {
        const end = new End()
        end.call()
        end.send()
        const bytes = bytesOf(casesOf(size)[name]!)
        return () => {
          end.receive(bytes)
          end.send()
        }
      }))
  }
})
