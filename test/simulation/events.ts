/**
 * What happens in a simulation besides calls, as its plan says.
 */
import * as Effect from "effect/Effect"
import type { SimulatedLink } from "./link.ts"
import { nobody } from "./loop.ts"
import type { Event, ProgramName } from "./plan.ts"
import type { ClientProgram, ServerProgram } from "./programs.ts"
import type { World } from "./world.ts"

type Of<Tag extends Event["_tag"]> = Extract<Event, { readonly _tag: Tag }>

const newestOf = (world: World, client: number): SimulatedLink | undefined => {
  const link = world.clients[client]?.newest
  return link === undefined || link.isOver ? undefined : link
}

const programOf = (world: World, name: ProgramName): ServerProgram | ClientProgram | undefined =>
  name === "server" ? world.server : world.clients[name]

const nameOf = (name: ProgramName): string => name === "server" ? "the server" : `client ${name}`

/** Ends a program: it leaves in order, or is killed. */
const endProgram = (world: World, program: ServerProgram | ClientProgram, how: "leaves" | "killed" | "power"): void => {
  if (how === "leaves") return program.leave()
  program.process.kill()
  world.network.abandon(program.process, how === "killed")
}

const restart = (world: World, { how, millis, program: name }: Of<"restart">): void => {
  const program = programOf(world, name)
  if (program === undefined) return
  world.log.note(`${nameOf(name)} ${how}`)
  if (name === "server") world.server = undefined
  else world.clients[name] = undefined
  endProgram(world, program, how)
  world.loop.after(millis, nobody, () => {
    if (name === "server") world.startServer()
    else world.clients[name] = world.startClient(name)
  })
}

const close = (world: World, { by, client, drain }: Of<"close">): void => {
  world.log.note(`${nameOf(by === "server" ? by : client)} closes the connection${drain ? ", drained" : ""}`)
  const { server } = world
  const program = world.clients[client]
  if (by === "server") {
    const found = server?.acceptor?.connections().findLast(({ metadata }) => metadata.name === client)
    if (found !== undefined) server!.process.tell(() => void server!.process.fork(found.close({ drain })))
    return
  }
  if (program?.client === undefined) return
  const closing = Effect.flatMap(
    program.client.status,
    (status) => status._tag === "Connected" ? status.connection.close({ drain }) : Effect.void
  )
  program.process.tell(() => void program.process.fork(closing))
}

const freeze = (world: World, { millis, program: name }: Of<"freeze">): void => {
  const program = programOf(world, name)
  if (program === undefined) return
  world.log.note(`${nameOf(name)} stands still for ${millis} ms`)
  world.loop.freeze(program.process)
  world.loop.after(millis, nobody, () => world.loop.thaw(program.process))
}

const double = (world: World, { client, how, millis }: Of<"double">): void => {
  world.log.note(`another program says for ${millis} ms that it is client ${client}`)
  const program = world.startClient(client)
  const end = () => {
    if (!world.doubles.delete(end)) return
    world.log.note(`the other client ${client} ${how}`)
    endProgram(world, program, how)
  }
  world.doubles.add(end)
  world.loop.after(millis, nobody, end)
}

/** Its link is used for nothing else: nobody reads the answer. */
const repeat = (world: World, { client, millis }: Of<"repeat">): void => {
  const hello = world.hellos[client]
  const { network, server } = world
  if (hello === undefined || server === undefined) return
  world.log.note(`the last hello of client ${client} comes once more`)
  const stranger = { isAlive: true }
  const link = network.open(stranger, server.process)
  world.repeated.set(link.number, client)
  server.accept(link.server, client)
  link.client.send(hello)
  world.loop.after(millis, nobody, () => link.client.terminate())
}

export const happen = (world: World, event: Event): void => {
  switch (event._tag) {
    case "cut": {
      const link = newestOf(world, event.client)
      return link && world.network.cut(link, event.tells)
    }
    case "stall": {
      const link = newestOf(world, event.client)
      return link && world.network.stall(link, event.directions, event.millis)
    }
    case "block":
      return world.network.block(event.how, event.millis)
    case "reconnect": {
      const program = world.clients[event.client]
      world.log.note(`client ${event.client} is to reconnect`)
      return program?.reconnect()
    }
    case "restart":
      return restart(world, event)
    case "close":
      return close(world, event)
    case "freeze":
      return freeze(world, event)
    case "double":
      return double(world, event)
    case "repeat":
      return repeat(world, event)
  }
}
