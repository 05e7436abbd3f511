/**
 * The network of a simulation: it opens links, breaks them, and heals.
 */
import type { Random } from "../support/random.ts"
import { SimulatedLink } from "./link.ts"
import { type Loop, nobody, type Owner } from "./loop.ts"
import type { Conditions, Direction, Observer } from "./way.ts"

export class Network {
  readonly loop: Loop
  readonly random: Random
  readonly conditions: Conditions
  readonly observer: Observer
  readonly links: Array<SimulatedLink> = []
  /** Ends that a program has begun to use. */
  used = 0
  /** Whether links that are dialled now do not come about: they are refused, or nobody answers. */
  blocked: "refused" | "silent" | undefined = undefined

  constructor(loop: Loop, random: Random, conditions: Conditions, observer: Observer) {
    this.loop = loop
    this.random = random
    this.conditions = conditions
    this.observer = observer
  }

  /** How long a message takes. */
  delay(): number {
    const { jitter, latency } = this.conditions
    return latency + (jitter === 0 ? 0 : this.random.int(jitter + 1))
  }

  open(client: Owner, server: Owner): SimulatedLink {
    const link = new SimulatedLink(this, this.links.length, client, server)
    this.links.push(link)
    this.observer.onEvent(`link ${link.number} opens`)
    return link
  }

  /** Links whose ends have not both ended. */
  get live(): ReadonlyArray<SimulatedLink> {
    return this.links.filter((link) => !link.isOver)
  }

  /** Breaks a link: what is under way is lost. Each of the ends that `tells` names notices soon, the other one does not. */
  cut(link: SimulatedLink, tells: ReadonlyArray<Direction>): void {
    this.observer.onEvent(`link ${link.number} is cut, and tells ${tells.join(" and ") || "nobody"}`)
    link.cut(tells)
  }

  /** Nothing arrives on a link for so long. */
  stall(link: SimulatedLink, directions: ReadonlyArray<Direction>, millis: number): void {
    this.observer.onEvent(`link ${link.number} stalls ${directions.join(" and ")} for ${millis} ms`)
    for (const direction of directions) link.way(direction).stall(millis)
  }

  /** No link comes about for so long. */
  block(how: "refused" | "silent", millis: number): void {
    this.observer.onEvent(`new links are ${how} for ${millis} ms`)
    this.blocked = how
    this.loop.after(millis, nobody, () => {
      this.blocked = undefined
    })
  }

  /** Links are dialled and move again. Those that were cut stay so. */
  heal(): void {
    this.observer.onEvent("the network heals")
    this.blocked = undefined
    for (const link of this.live) link.heal()
  }

  /** The sockets of a program that ended: its system closes them, or the machine has lost power. */
  abandon(owner: Owner, isTold: boolean): void {
    for (const link of this.live) link.abandon(owner, isTold)
  }
}
