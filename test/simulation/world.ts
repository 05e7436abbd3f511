/**
 * The world of a simulation: a server, its clients, and the network between them. It does what the plan says, and then becomes
 * whole again.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type { ConnectionEvent } from "effect-swaggersocket/ConnectionEvent"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Stream from "effect/Stream"
import { Random } from "../support/random.ts"
import { idOf, makeApi } from "./api.ts"
import { makeCall } from "./caller.ts"
import { happen } from "./events.ts"
import { eventFault, isRejection } from "./invariants.ts"
import { Loads } from "./loads.ts"
import { Log } from "./log.ts"
import { Loop, nobody } from "./loop.ts"
import { Network } from "./network.ts"
import type { Call, Effort, Plan } from "./plan.ts"
import { planned } from "./planned.ts"
import { Process } from "./process.ts"
import { ClientProgram, ServerProgram } from "./programs.ts"
import { Watch } from "./watch.ts"
import type { Direction, Message, Parcel } from "./way.ts"

/** An application has its client dial again so long after it has stopped, at most; in milliseconds. */
const revival = 10_000

const { setImmediate } = globalThis

const realTurn = () => new Promise<void>((resolve) => void setImmediate(resolve))

const atOnce: Effort = { delay: 0, ends: "succeeds" }

export class World {
  readonly plan: Plan
  readonly loop: Loop
  readonly log: Log
  readonly network: Network
  readonly calls: ReadonlyArray<Call>
  server: ServerProgram | undefined = undefined
  readonly clients: Array<ClientProgram | undefined> = []
  /** Ends each of the programs that only say that they are a client. */
  readonly doubles = new Set<() => void>()
  /** The last hello of each client. */
  readonly hellos: Array<Message> = []
  /** The clients whose hello came once more, by the numbers of the links that it came on. */
  readonly repeated = new Map<number, number>()
  /** Clients in whose place somebody else was welcomed. */
  readonly robbed = new Set<number>()
  /** All programs that there have been. */
  readonly programs: Array<ServerProgram | ClientProgram> = []
  readonly #random: Random
  readonly #loads = new Loads()
  #authentications = 0
  #metadata = 0
  #isHealed = false
  #isAtRest = false
  /** Ends that have loaded wire v1. */
  #loaded = 0

  constructor(plan: Plan, calls: ReadonlyArray<Call>) {
    this.plan = plan
    this.calls = calls
    const random = new Random(plan.seed)
    // One for each part, so that what one does more or less changes little of what others do.
    const next = () => new Random(random.int(0x100000000))
    this.loop = new Loop(next(), plan.slowness, () => this.#loadingV1(), () => this.#loadingUpgrades())
    this.log = new Log(this.loop, calls.length)
    this.network = new Network(this.loop, next(), plan.conditions, {
      onSend: (link, direction, parcel) => this.#onSend(link, direction, parcel),
      onEvent: (text) => this.log.note(text)
    })
    this.#random = random
  }

  begin(): void {
    this.startServer()
    for (let client = 0; client < this.plan.clients; client++) this.clients[client] = this.startClient(client)
    this.#watch(new Watch(this))
    this.#revive()
    for (const event of this.plan.events) this.loop.after(event.at, nobody, () => happen(this, event))
  }

  /** Looks now and then at what connections hold. */
  #watch(watch: Watch): void {
    if (this.#isAtRest) return
    for (const fault of watch.look()) this.log.fault(fault)
    this.loop.after(watch.interval, nobody, () => this.#watch(watch))
  }

  /** A client stops only where another program has its name. */
  #revive(): void {
    if (this.#isAtRest) return
    for (const program of this.clients) {
      const status = program?.client && Effect.runSync(program.client.status)
      if (status?._tag !== "Stopped") continue
      if (!this.#mayBeReplaced(program!.number)) {
        this.log.fault(`client ${program!.number} has stopped: ${status.error.message}`)
      }
      program!.reconnect()
    }
    this.loop.after(revival, nobody, () => this.#revive())
  }

  /** What may happen to the connections of a client, or of all of them, for a good reason. */
  #pardons(client: number | undefined): ReadonlySet<string> {
    const { limits, onSameIdentity, quotas, wire } = this.plan
    const isBounded = [quotas, limits.client.maxUnsentBytes, limits.server.maxUnsentBytes].some((bound) => bound)
    return new Set([
      // The only way to say that a response which has begun will not be complete.
      ...(wire === "v1" ? ["INTERNAL_ERROR"] : []),
      ...(isBounded ? ["EXCESSIVE_LOAD"] : []),
      // The server may not know yet that the client drains a connection, when the next one replaces it.
      ...(client === undefined || onSameIdentity === "replace-older" ? ["IDENTITY_REPLACED"] : []),
      ...(client === undefined || this.robbed.has(client) ? ["REPLACED"] : [])
    ])
  }

  #mayBeReplaced(client: number): boolean {
    const { onSameIdentity } = this.plan
    const named = this.programs.filter((program) => program instanceof ClientProgram && program.number === client)
    return onSameIdentity !== "keep-both" && named.length > 1
  }

  #onSend(link: number, direction: Direction, parcel: Parcel): void {
    this.log.onSend(link, direction, parcel)
    if (parcel._tag !== "Message" || typeof parcel.message !== "string") return
    const repeated = this.repeated.get(link)
    if (repeated !== undefined) {
      if (direction === "down" && parcel.message.includes(`"welcome"`)) this.robbed.add(repeated)
    } else if (direction === "up") {
      const client = this.clients.findIndex((program) => program?.newest?.number === link)
      if (client >= 0 && /"type":"hello"|HandshakeMetaData/.test(parcel.message)) this.hellos[client] = parcel.message
    }
  }

  /** Makes a call at its time. */
  schedule(id: number): void {
    const call = this.calls[id]!
    this.loop.after(call.at - this.loop.now, nobody, () => this.#call(id, call))
  }

  /** Nothing goes wrong from now on. */
  heal(): void {
    this.#isHealed = true
    this.network.heal()
    for (const end of this.doubles) end()
    for (const { process } of this.programs) {
      this.loop.thaw(process)
      process.release()
    }
  }

  /** Nothing is looked after any more: all programs leave. */
  rest(): void {
    this.#isAtRest = true
  }

  /** Each end of a link loads wire v1, which takes turns of the real event loop. What is loaded after them is there after them. */
  #loadingV1(): Promise<void> | undefined {
    const { used } = this.network
    if (this.plan.wire === "v2" || used === this.#loaded) return undefined
    this.#loaded = used
    return import("../../src/internal/v1/wire.ts").then(() => realTurn()).then(() => realTurn())
  }

  /** Upgrades are loaded with the first one that is asked for. */
  #loadingUpgrades(): Promise<void> | undefined {
    if (!this.#loads.mayBeUnderWay) return undefined
    return import("../../src/internal/http/upgrades.ts").then(() => realTurn()).then(() => realTurn())
  }

  /** Nothing runs any more. */
  end(): void {
    for (const { process } of this.programs) process.kill()
  }

  #process(name: string, client?: number): Process {
    return new Process({
      loop: this.loop,
      random: new Random(this.#random.int(0x100000000)),
      budget: this.plan.budget,
      onLog: (level, message) => {
        this.log.note(`${name} logs ${level}: ${message}`)
        const pardons = [planned, ...this.#pardons(client)]
        if (level === "Error" && !pardons.some((pardon) => message.includes(pardon))) {
          this.log.fault(`${name} logs ${message}`)
        }
      }
    })
  }

  #options(process: Process, name: string, connectionOf?: ServerProgram["connectionOf"]) {
    const { calls, log, plan } = this
    const note = (text: string) => log.note(text)
    return {
      process,
      log,
      wire: plan.wire,
      app: makeApi({ calls, logs: log.calls, note, loads: this.#loads, process, name, connectionOf })
    }
  }

  startServer(): void {
    const process = this.#process("the server")
    const server: ServerProgram = new ServerProgram({
      onStarted: (server) => this.#follow(process, "the server", undefined, server.events),
      ...this.#options(process, "the server", (client) => server.connectionOf(client)),
      limits: this.plan.limits.server,
      quotas: this.plan.quotas,
      // Half of the calls that are passed on are so by the app.
      destinationOf: (target) => idOf(target) % 2 === 0 ? this.calls[idOf(target)]!.to : undefined,
      onSameIdentity: this.plan.onSameIdentity,
      nextAuthentication: () =>
        (this.#isHealed ? undefined : this.plan.authentications[this.#authentications++]) ?? atOnce
    })
    this.server = server
    this.programs.push(server)
    this.log.note("the server starts")
    if (this.#isHealed) process.release()
  }

  startClient(number: number): ClientProgram {
    const name = `client ${number}`
    const process = this.#process(name, number)
    const client = new ClientProgram({
      onStarted: (client) => this.#follow(process, name, number, client.events),
      ...this.#options(process, name),
      limits: this.plan.limits.client,
      number,
      nextMetadata: () => (this.#isHealed ? undefined : this.plan.metadata[this.#metadata++]) ?? atOnce,
      network: this.network,
      server: () => this.server
    })
    this.programs.push(client)
    this.log.note(`${name} starts`)
    if (this.#isHealed) process.release()
    return client
  }

  /** Notes the events of a program. */
  #follow(
    process: Process,
    name: string,
    client: number | undefined,
    events: Stream.Stream<ConnectionEvent<unknown>>
  ): void {
    process.fork(Stream.runForEach(events, (event) =>
      Effect.sync(() => {
        const error = "error" in event ? event.error : undefined
        this.log.note(`${name}: ${event._tag} ${error?.message ?? ""}`)
        const fault = error && eventFault(error, this.#pardons(client))
        if (fault !== undefined) this.log.fault(`${name}: ${fault}`)
        if (event._tag !== "ConnectionFailure" && event._tag !== "ConnectionClosed") return
        this.log.hasLostConnection = true
        if (client === undefined) this.log.endedAtServer.add(event.connectionId)
        else if (error !== undefined && isRejection(error)) this.log.rejected.push(event.connectionId)
      })))
  }

  #call(id: number, call: Call): void {
    const log = this.log.calls[id]!
    const make = <E>(process: Process, client: Effect.Effect<HttpClient.HttpClient, E>) => {
      const caller = { process, client, loads: this.#loads, note: (text: string) => this.log.note(text) }
      process.tell(() => void process.fork(makeCall(id, call, log, caller)))
    }
    const { server } = this
    const client = this.clients[call.client]
    if (call.from === "client") {
      if (client !== undefined) make(client.process, Effect.map(client.started, () => client.http!))
    } else if (server !== undefined) {
      make(server.process, Effect.map(server.connectionOf(call.client), ApiClient.make))
    }
  }
}
