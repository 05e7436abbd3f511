/**
 * The messages that were sent, and who waits for more of them.
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { ChatSummary } from "./api.ts"

interface Stored extends ChatSummary {
  /** Counts from 1, without gaps. */
  readonly id: number
}

export class Store extends Context.Service<Store, {
  readonly add: (message: string) => Effect.Effect<ChatSummary>
  /** All that was sent so far, oldest first. */
  readonly history: Stream.Stream<ChatSummary>
  /** All that is sent from now on, each once and in order, however slowly it is taken. */
  readonly added: Effect.Effect<Stream.Stream<ChatSummary>>
}>()("chatter/Store") {}

/** Keeps messages; `after` gives some of those behind an id, and none only if there are none. */
export interface Table {
  readonly insert: (message: ChatSummary) => Effect.Effect<number>
  readonly after: (id: number) => Effect.Effect<ReadonlyArray<Stored>>
  readonly last: Effect.Effect<number>
}

const encoder = new TextEncoder()

/** Whole seconds, as RFC 3339 has them. */
const now = Effect.map(DateTime.now, (now) => DateTime.formatIso(now).replace(/\.\d+Z$/, "Z"))

/**
 * A store over a table. Who subscribes keeps no messages, only the id of the last one it has: a slow reader costs nothing
 * and misses nothing.
 */
export const make = Effect.fnUntraced(function*(table: Table): Effect.fn.Return<Store["Service"]> {
  let last = yield* table.last
  // Whoever is behind needs to know the newest id only.
  const grown = yield* PubSub.sliding<number>({ capacity: 1, replay: 1 })
  /** The messages behind one id, up to another. */
  const between = (start: number, end: number) =>
    Stream.paginate(
      start,
      (id) =>
        Effect.map(table.after(id), (messages): readonly [ReadonlyArray<ChatSummary>, Option.Option<number>] => {
          const next = messages.at(-1)?.id ?? end
          return [messages.filter((message) => message.id <= end), next < end ? Option.some(next) : Option.none()]
        })
    )
  return {
    add: Effect.fnUntraced(function*(message) {
      const summary = { message, length: encoder.encode(message).length, sent_at: yield* now }
      const id = yield* table.insert(summary)
      // Others may have been faster between the table and here.
      last = Math.max(last, id)
      yield* PubSub.publish(grown, last)
      return summary
    }),
    history: Stream.suspend(() => between(0, last)),
    added: Effect.sync(() => {
      let from = last
      return Stream.flatMap(Stream.fromPubSub(grown), (end) => {
        const begin = from
        from = Math.max(from, end)
        return end > begin ? between(begin, end) : Stream.empty
      })
    })
  }
})

/** Messages that are gone when the process is. */
export const layerMemory = Layer.effect(
  Store,
  Effect.suspend(() => {
    const messages: Array<Stored> = []
    return make({
      insert: (message) => Effect.sync(() => messages.push({ ...message, id: messages.length + 1 })),
      after: (id) => Effect.sync(() => messages.slice(id, id + 100)),
      last: Effect.succeed(0)
    })
  })
)
