/**
 * A directory on an engine that keeps records and tells of their changes; `Directory` shows it to users.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { Changes } from "../observe/changes.ts"
import { randomId } from "../scheduling/random.ts"
import { Members, renewal } from "./members.ts"
import type { Node } from "./node.ts"

/**
 * A node of this process in the directory.
 *
 * @since 0.1.0
 * @category models
 */
export interface Membership {
  /** As the directory has it. */
  readonly node: Node
  /** Says that the node is about to go away. */
  readonly drain: Effect.Effect<void>
}

/**
 * What the records of an engine have become: one was written, for the first time or again, or removed.
 *
 * @since 0.1.0
 * @category models
 */
export type Change =
  | {
    /** The record was there already, or was written. */
    readonly _tag: "Put"
    /** The record. */
    readonly node: Node
    /**
     * Changes whenever the record is written. A record that is told of again with the same version, because the watch was begun
     * again, renews nothing. Absent: each renews its lease.
     */
    readonly version?: number | string | undefined
  }
  | {
    /** The record was removed. */
    readonly _tag: "Removed"
    /** The instance whose record it was. */
    readonly instance: string
  }

/**
 * A store of records that tells of their changes: a key-value bucket, a table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Engine {
  /** Writes the record of a node. It is called every 5 seconds, and a second after it has failed. */
  readonly put: (node: Node) => Effect.Effect<void, unknown>
  /** Removes the record of an instance. */
  readonly remove: (instance: string) => Effect.Effect<void, unknown>
  /**
   * The records there are, and then every change; a record that is written again, as it was, is a change. It is run again a
   * second after it has ended or failed.
   */
  readonly watch: Stream.Stream<Change, unknown>
}

/** How long after a failure an engine is asked again. A guess. */
const retry = "1 second"

/** What a directory does. @internal */
export interface Service {
  readonly join: (
    node: { readonly name: string; readonly url: string }
  ) => Effect.Effect<Membership, never, Scope.Scope>
  readonly nodes: Stream.Stream<ReadonlyArray<Node>>
}

/** Logs the first failure of several in a row, and that there are no more. Answers whether it has succeeded. */
const tellingOnce = <A>(what: string, effect: Effect.Effect<A, unknown>): Effect.Effect<boolean> => {
  let isFailing = false
  return Effect.matchCauseEffect(effect, {
    onFailure: (cause) =>
      Effect.suspend(() => {
        if (isFailing || Cause.hasInterruptsOnly(cause)) return Effect.succeed(false)
        isFailing = true
        const said = Effect.logWarning(
          `the directory can't be ${what}; what is known of the nodes stays as it is`,
          cause
        )
        return Effect.as(said, false)
      }),
    onSuccess: () =>
      Effect.suspend(() => {
        if (!isFailing) return Effect.succeed(true)
        isFailing = false
        return Effect.as(Effect.logInfo(`the directory is ${what} again`), true)
      })
  })
}

const annotated = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.annotateLogs(effect, { module: "Directory" })

/** @internal */
export const make = Effect.fnUntraced(function*(engine: Engine): Effect.fn.Return<Service, never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const members = new Members(
    () => Number(clock.monotonicTimeNanosUnsafe()) / 1_000_000,
    () => changes.notify()
  )
  const changes: Changes<ReadonlyArray<Node>> = new Changes(() => members.all)
  const read = Stream.runForEach(engine.watch, (change) =>
    Effect.sync(() => {
      if (change._tag === "Put") members.put(change.node, change.version)
      else members.remove(change.instance)
    }))
  // A watch that ends is as good as lost.
  const watching = tellingOnce("read", Effect.andThen(read, Effect.fail("the watch has ended")))
  yield* Effect.forkScoped(annotated(Effect.forever(Effect.andThen(watching, Effect.sleep(retry)))), {
    startImmediately: true
  })
  const join: Service["join"] = Effect.fnUntraced(function*({ name, url }) {
    let node: Node = { instance: yield* randomId, name, url, state: "up" }
    const written = tellingOnce(
      "written to",
      Effect.suspend(() => Effect.timeout(engine.put(node), renewal))
    )
    yield* Effect.addFinalizer(() => Effect.ignore(Effect.timeout(engine.remove(node.instance), "1 second")))
    const renewing = Effect.flatMap(written, (isWritten) => Effect.sleep(isWritten ? renewal : retry))
    yield* Effect.forkScoped(annotated(Effect.forever(renewing)), { startImmediately: true })
    const drain = Effect.suspend(() => {
      node = { ...node, state: "draining" }
      return Effect.asVoid(written)
    })
    return { node, drain: annotated(drain) }
  })
  return { join, nodes: changes.stream }
})

/** Of one process: there is nothing to renew, a node is there for as long as its scope. @internal */
export const makeMemory = (): Service => {
  const nodes = new Map<string, Node>()
  const changes = new Changes<ReadonlyArray<Node>>(() => [...nodes.values()])
  const set = (node: Node): void => {
    nodes.set(node.instance, node)
    changes.notify()
  }
  return {
    nodes: changes.stream,
    join: Effect.fnUntraced(function*({ name, url }) {
      const node: Node = { instance: yield* randomId, name, url, state: "up" }
      yield* Effect.acquireRelease(
        Effect.sync(() => set(node)),
        () =>
          Effect.sync(() => {
            nodes.delete(node.instance)
            changes.notify()
          })
      )
      return { node, drain: Effect.sync(() => set({ ...node, state: "draining" })) }
    })
  }
}
