/**
 * The world of a simulation: a server, its clients, and the network between them. It does what the plan says, and then becomes
 * whole again.
 */
import * as ApiClient from "effect-swaggersocket/ApiClient"
import type { ConnectionEvent } from "effect-swaggersocket/ConnectionEvent"
import * as Limits from "effect-swaggersocket/Limits"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { Random } from "../support/random.ts"
import { makeApi, planned } from "./api.ts"
import { makeCall } from "./caller.ts"
import { eventFault, isRejection, memoryFaults } from "./invariants.ts"
import { Log } from "./log.ts"
import { Loop, nobody } from "./loop.ts"
import { Network } from "./network.ts"
import type { Authentication, Call, Event, Plan } from "./plan.ts"
import { Process } from "./process.ts"
import { ClientProgram, ServerProgram } from "./programs.ts"

/** Between two looks at the memory, in milliseconds. */
const memoryInterval = 503

const { setImmediate } = globalThis

const realTurn = () => new Promise<void>((resolve) => void setImmediate(resolve))

const accepts: Authentication = { delay: 0, ends: "accepts" }

export class World {
  readonly plan: Plan
  readonly loop: Loop
  readonly log: Log
  readonly network: Network
  readonly calls: ReadonlyArray<Call>
  server: ServerProgram | undefined = undefined
  readonly clients: Array<ClientProgram | undefined> = []
  /** All programs that there have been. */
  readonly programs: Array<ServerProgram | ClientProgram> = []
  readonly #random: Random
  #authentications = 0
  #isHealed = false
  /** Ends that have loaded wire v1. */
  #loaded = 0

  constructor(plan: Plan, calls: ReadonlyArray<Call>) {
    this.plan = plan
    this.calls = calls
    const random = new Random(plan.seed)
    // One for each part, so that what one does more or less changes little of what others do.
    const next = () => new Random(random.int(0x100000000))
    this.loop = new Loop(next(), plan.slowness, () => this.#loadingV1())
    this.log = new Log(this.loop, calls.length)
    this.network = new Network(this.loop, next(), plan.conditions, {
      onSend: (link, direction, parcel) => this.log.onSend(link, direction, parcel),
      onEvent: (text) => this.log.note(text)
    })
    this.#random = random
  }

  begin(): void {
    this.#startServer()
    for (let client = 0; client < this.plan.clients; client++) this.#startClient(client)
    this.#watchMemory()
    for (const event of this.plan.events) this.loop.after(event.at, nobody, () => this.#happen(event))
  }

  /** Looks now and then, until nothing goes wrong any more, whether a connection holds more than it may. */
  #watchMemory(): void {
    const [near, far] = [Limits.make(this.plan.limits.client), Limits.make(this.plan.limits.server)]
    const faults = [
      ...(this.server?.acceptor?.connections() ?? []).flatMap((end) => memoryFaults(end, "the server", far, near)),
      ...this.clients.flatMap((program) => {
        if (program?.client === undefined) return []
        const status = Effect.runSync(program.client.status)
        return status._tag === "Connected" ? memoryFaults(status.connection, "a client", near, far) : []
      })
    ]
    for (const fault of faults) this.log.fault(fault)
    if (!this.#isHealed) this.loop.after(memoryInterval, nobody, () => this.#watchMemory())
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
    for (const { process } of this.programs) process.release()
  }

  /** Each end of a link loads wire v1, which takes turns of the real event loop. What is loaded after them is there after them. */
  #loadingV1(): Promise<void> | undefined {
    const { used } = this.network
    if (this.plan.wire === "v2" || used === this.#loaded) return undefined
    this.#loaded = used
    return import("../../src/internal/v1/wire.ts").then(() => realTurn()).then(() => realTurn())
  }

  /** Nothing runs any more. */
  end(): void {
    for (const { process } of this.programs) process.kill()
  }

  #process(name: string): Process {
    return new Process({
      loop: this.loop,
      random: new Random(this.#random.int(0x100000000)),
      budget: this.plan.budget,
      onLog: (level, message) => {
        this.log.note(`${name} logs ${level}: ${message}`)
        if (level === "Error" && !message.includes(planned)) this.log.fault(`${name} logs ${message}`)
      }
    })
  }

  #options(process: Process, name: string) {
    const { calls, log, plan } = this
    return {
      process,
      log,
      wire: plan.wire,
      app: makeApi({ calls, logs: log.calls, note: (text) => log.note(text), process, name })
    }
  }

  #startServer(): void {
    const process = this.#process("the server")
    const server = new ServerProgram({
      onStarted: (server) => this.#follow(process, "the server", false, server.events),
      ...this.#options(process, "the server"),
      limits: this.plan.limits.server,
      nextAuthentication: () =>
        (this.#isHealed ? undefined : this.plan.authentications[this.#authentications++]) ?? accepts
    })
    this.server = server
    this.programs.push(server)
    this.log.note("the server starts")
    if (this.#isHealed) process.release()
  }

  #startClient(number: number): void {
    const name = `client ${number}`
    const process = this.#process(name)
    const client = new ClientProgram({
      onStarted: (client) => this.#follow(process, name, true, client.events),
      ...this.#options(process, name),
      limits: this.plan.limits.client,
      number,
      network: this.network,
      server: () => this.server
    })
    this.clients[number] = client
    this.programs.push(client)
    this.log.note(`${name} starts`)
    if (this.#isHealed) process.release()
  }

  /** Notes the events of a program. */
  #follow(
    process: Process,
    name: string,
    isClient: boolean,
    events: Stream.Stream<ConnectionEvent<unknown>>
  ): void {
    process.fork(Stream.runForEach(events, (event) =>
      Effect.sync(() => {
        const error = "error" in event ? event.error : undefined
        this.log.note(`${name}: ${event._tag} ${error?.message ?? ""}`)
        const fault = error && eventFault(error, isClient)
        if (fault !== undefined) this.log.fault(`${name}: ${fault}`)
        if (event._tag !== "ConnectionFailure" && event._tag !== "ConnectionClosed") return
        if (!isClient) this.log.endedAtServer.add(event.connectionId)
        else if (error !== undefined && isRejection(error)) this.log.rejected.push(event.connectionId)
      })))
  }

  #call(id: number, call: Call): void {
    const log = this.log.calls[id]!
    const note = (text: string) => this.log.note(text)
    const { server } = this
    const client = this.clients[call.client]
    if (call.from === "client") {
      if (client === undefined) return
      client.process.fork(makeCall(id, call, log, client.process, Effect.map(client.started, () => client.http!), note))
    } else if (server !== undefined) {
      const connection = Effect.map(server.connectionOf(call.client), ApiClient.make)
      server.process.fork(makeCall(id, call, log, server.process, connection, note))
    }
  }

  #happen(event: Event): void {
    switch (event._tag) {
      case "cut": {
        const link = this.clients[event.client]?.newest
        if (link !== undefined && !link.isOver) this.network.cut(link, event.tells)
        return
      }
      case "stall": {
        const link = this.clients[event.client]?.newest
        if (link !== undefined && !link.isOver) this.network.stall(link, event.directions, event.millis)
        return
      }
      case "block": {
        this.network.block(event.how, event.millis)
        return
      }
      case "reconnect": {
        const client = this.clients[event.client]
        this.log.note(`client ${event.client} is to reconnect`)
        client?.process.fork(Effect.suspend(() => client.client?.reconnect ?? Effect.void))
        return
      }
      case "restart":
        return this.#restart(event)
      case "close":
        return this.#close(event)
    }
  }

  #restart({ how, millis, program }: Extract<Event, { readonly _tag: "restart" }>): void {
    const before = program === "server" ? this.server : this.clients[program]
    if (before === undefined) return
    this.log.note(`${program === "server" ? "the server" : `client ${program}`} ${how}`)
    if (program === "server") this.server = undefined
    else this.clients[program] = undefined
    if (how === "leaves") before.leave()
    else {
      before.process.kill()
      this.network.abandon(before.process, how === "killed")
    }
    this.loop.after(millis, nobody, () => {
      if (program === "server") this.#startServer()
      else this.#startClient(program)
    })
  }

  #close({ by, client, drain }: Extract<Event, { readonly _tag: "close" }>): void {
    this.log.note(
      `${by === "server" ? "the server" : `client ${client}`} closes the connection${drain ? ", drained" : ""}`
    )
    const { server } = this
    const program = this.clients[client]
    if (by === "server") {
      const found = server?.acceptor?.connections().findLast(({ metadata }) => metadata.name === client)
      if (found !== undefined) server!.process.fork(found.close({ drain }))
    } else {
      program?.process.fork(Effect.suspend(() => {
        const status = Effect.flatMap(
          program.client!.status,
          (status) => status._tag === "Connected" ? status.connection.close({ drain }) : Effect.void
        )
        return status
      }))
    }
  }
}
