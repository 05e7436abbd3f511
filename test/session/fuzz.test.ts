/**
 * Two sessions joined by a link that is cut at random, in the middle of everything: each message arrives once, in order.
 *
 * FUZZ_SEED repeats a run, FUZZ_COUNT makes it longer.
 */
import { assert, describe, it } from "@effect/vitest"
import { Decoder } from "../../src/internal/frame/decoder.ts"
import * as FrameType from "../../src/internal/frame/FrameType.ts"
import { isLinkMessage, Session } from "../../src/internal/session/session.ts"
import { defaults } from "../../src/Limits.ts"
import { extent } from "../support/extent.ts"
import { Random } from "../support/random.ts"

const firstSeed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 32))
const steps = extent("FUZZ_COUNT", 10_000, 100_000)
const seeds = 20
const maxSize = 2000

type Message = Uint8Array<ArrayBuffer>

/** As `assert.isTrue`, which takes longer than what is tested. */
const must = (condition: boolean, what: string): void => {
  if (!condition) throw new Error(`violated: ${what}`)
}

/** Counted message number `number`: its bytes tell which it is. */
const counted = (number: number, size: number): Message => {
  const message = new Uint8Array(size)
  message[0] = FrameType.DATA
  new DataView(message.buffer).setUint32(1, number)
  return message
}

const numberOf = (message: Message): number => new DataView(message.buffer).getUint32(1)

const ackOf = (message: Message): number => {
  let received = -1
  const violation = new Decoder(defaults).decode(message, (frame) => {
    if (frame._tag === "Ack") received = frame.received
    return undefined
  })
  must(violation === undefined && received >= 0, "a link message of a session is an ACK")
  return received
}

class End {
  readonly session: Session
  readonly capacity: number
  /** Sizes of the messages that were sent, by number. */
  readonly sizes: Array<number> = []
  /** What is on its way to the other end. */
  inFlight: Array<Message> = []
  /** What the other end has acknowledged. */
  acknowledged = 0
  received = 0
  replays = 0
  fullAt = 0

  constructor(capacity: number, peerCapacity: number) {
    this.capacity = capacity
    this.session = new Session(capacity, peerCapacity)
  }

  /** As the connection does it: what is owed first, then something new where there is room. */
  next(random: Random | undefined): Message | undefined {
    const owed = this.session.pull()
    if (owed !== undefined) return owed
    if (this.session.isFull) {
      this.fullAt++
      return undefined
    }
    if (random === undefined) return undefined
    const message = counted(this.sizes.length, 5 + random.skewed(maxSize - 5))
    this.sizes.push(message.length)
    this.session.sent(message)
    return message
  }

  take(message: Message): void {
    if (isLinkMessage(message)) {
      const count = ackOf(message)
      must(this.session.acknowledge(count), "an ACK is above the last one, and not above what was sent")
      this.acknowledged = count
      return
    }
    must(numberOf(message) === this.received, "each message arrives once, in order")
    this.received++
    this.session.receive(message.length)
  }

  resume(peerReceived: number): void {
    const replayed = this.session.resume(peerReceived)
    must(replayed === this.sizes.length - peerReceived, "what the peer lacks is sent again, nothing else")
    this.acknowledged = peerReceived
    this.replays += replayed!
  }

  check(): void {
    const { bytes, received, unacknowledged } = this.session
    must(received === this.received, "what has arrived is counted")
    must(unacknowledged === this.sizes.length - this.acknowledged, "what is not acknowledged is kept")
    must(bytes < this.capacity + maxSize, "what is kept is bounded by the capacity and one message")
  }
}

class Run {
  readonly random: Random
  readonly ends: readonly [client: End, server: End]
  cuts = 0
  #connected = true

  constructor(seed: number) {
    this.random = new Random(seed)
    const capacities = [500 + this.random.int(20_000), 500 + this.random.int(20_000)] as const
    this.ends = [new End(capacities[0], capacities[1]), new End(capacities[1], capacities[0])]
  }

  #other(end: End): End {
    return end === this.ends[0] ? this.ends[1] : this.ends[0]
  }

  #send(end: End, random: Random | undefined): boolean {
    const message = end.next(random)
    if (message !== undefined) end.inFlight.push(message)
    return message !== undefined
  }

  #deliver(end: End): boolean {
    const message = end.inFlight.shift()
    if (message !== undefined) this.#other(end).take(message)
    return message !== undefined
  }

  /** What is in flight is lost, but for what arrives before the ends notice. */
  #cut(): void {
    for (const end of this.ends) {
      for (let late = this.random.skewed(20); late > 0; late--) this.#deliver(end)
      end.inFlight = []
    }
    this.#connected = false
    this.cuts++
  }

  /** PROTOCOL.md, "Resuming": each handshake step may be the last that arrives. */
  #resume(): void {
    const [client, server] = this.ends
    const { received } = client.session
    if (this.random.chance(0.1)) return
    must(server.session.acknowledge(received), "the client has received no less and no more than it could")
    server.acknowledged = received
    if (this.random.chance(0.1)) return
    client.resume(server.session.received)
    if (this.random.chance(0.2)) {
      // The client's ready is lost, and what it has sent behind it.
      for (let lost = this.random.int(10); lost > 0; lost--) client.next(this.random)
      return
    }
    server.resume(received)
    this.#connected = true
  }

  step(): void {
    const { random } = this
    const end = random.pick(this.ends)
    if (!this.#connected) this.#resume()
    else if (random.chance(0.005)) this.#cut()
    else if (random.chance(0.02)) end.session.askAck()
    else {
      // In runs, so that queues build up and empty.
      const act = random.chance(0.5) ? () => this.#send(end, random) : () => this.#deliver(end)
      for (let times = 1 + random.skewed(30); times > 0 && act(); times--);
    }
    for (const end of this.ends) end.check()
  }

  /** Nothing new, and no cut: everything arrives and is acknowledged. */
  settle(): void {
    while (!this.#connected) this.#resume()
    for (const end of this.ends) while (this.#send(end, undefined));
    for (const end of this.ends) while (this.#deliver(end));
    for (const end of this.ends) {
      end.session.askAck()
      this.#send(end, undefined)
    }
    for (const end of this.ends) while (this.#deliver(end));
    for (const end of this.ends) {
      end.check()
      assert.strictEqual(this.#other(end).received, end.sizes.length)
      assert.deepStrictEqual([end.session.unacknowledged, end.session.bytes], [0, 0])
      assert.isUndefined(end.next(undefined))
    }
  }
}

describe("sessions on links that are cut", () => {
  const seen = { cuts: 0, replays: 0, full: 0 }

  for (let index = 0; index < seeds; index++) {
    const seed = (firstSeed + index) >>> 0
    it(`two sessions on links that are cut lose and repeat no message, seed ${index + 1} of ${seeds}`, () => {
      const run = new Run(seed)
      let step = 0
      try {
        for (; step < steps; step++) run.step()
        run.settle()
      } catch (cause) {
        throw new Error(`FUZZ_SEED=${seed}, step ${step}`, { cause })
      }
      seen.cuts += run.cuts
      for (const end of run.ends) {
        seen.replays += end.replays
        seen.full += end.fullAt
      }
    })
  }

  it("the runs of this fuzz test include cuts, replays and full buffers", () => {
    assert.isAbove(seen.cuts, seeds)
    assert.isAbove(seen.replays, seen.cuts, "messages were sent again")
    assert.isAbove(seen.full, 0, "buffers were full")
  })
})
