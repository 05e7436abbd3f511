/**
 * Links over a transport of the program's own.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Link from "effect-swaggersocket/Link"
import * as Effect from "effect/Effect"
import type { shown } from "../../src/internal/link/transportLink.ts"

/** The least that a transport has, which notes how it is called. */
const transport = () => {
  const calls: Array<unknown> = []
  const note = (name: string) => (...rest: ReadonlyArray<unknown>): void => void calls.push([name, ...rest])
  const least = {
    pull: Effect.succeed(["hi"] as const),
    send(this: object, message: Uint8Array | string): undefined {
      calls.push(["send", message, this === least])
      return undefined
    },
    isFull: () => true,
    onRoom: note("onRoom"),
    close: note("close"),
    terminate: note("terminate")
  }
  return { calls, least, note }
}

/** As the connection sees it. */
const linkOf = (made: Link.Link) => made as ReturnType<typeof shown> & { readonly hangUp: () => void }

describe("a link over a transport", () => {
  it("passes calls on", () => {
    const { calls, least } = transport()
    const link = linkOf(Link.make(least))
    assert.strictEqual(link.pull, least.pull)
    assert.isUndefined(link.send("a"))
    assert.isTrue(link.isFull())
    const resume = () => {}
    link.onRoom(resume)
    link.close(1000, "why")
    link.terminate()
    link.hangUp()
    assert.deepStrictEqual(calls, [
      ["send", "a", true],
      ["onRoom", resume],
      ["close", 1000, "why"],
      ["terminate"],
      ["terminate"]
    ])
  })

  it("answers what the transport leaves out: it is never empty, not secure, and has taken what was sent", () => {
    const link = linkOf(Link.make(transport().least))
    assert.isFalse(link.isEmpty?.())
    assert.isFalse(link.isSecure)
    assert.isUndefined(link.cork)
    assert.isUndefined(link.uncork)
    assert.strictEqual(link.taken?.(), 0)
    link.send("a")
    link.send("b")
    assert.strictEqual(link.taken?.(), 2)
  })

  it("has what the transport has", () => {
    const { calls, least, note } = transport()
    const whole = Object.assign(least, {
      isEmpty: () => true,
      taken: () => 7,
      isSecure: true,
      cork: note("cork"),
      uncork: note("uncork"),
      hangUp: note("of the transport")
    })
    const link = linkOf(Link.make(whole))
    assert.isTrue(link.isEmpty?.())
    assert.isTrue(link.isSecure)
    assert.strictEqual(link.taken?.(), 7)
    link.cork?.()
    link.uncork?.()
    link.hangUp()
    assert.deepStrictEqual(calls, [["cork"], ["uncork"], ["terminate"]])
  })

  it("holds nothing back where the transport has one half of that", () => {
    const { least, note } = transport()
    for (const half of [{ cork: note("cork") }, { uncork: note("uncork") }]) {
      const link = Link.make({ ...least, ...half })
      assert.isUndefined(link.cork)
      assert.isUndefined(link.uncork)
    }
  })

  it("has failed to write when the transport throws", () => {
    const cause = new Error("why")
    const link = Link.make({
      ...transport().least,
      send: () => {
        throw cause
      }
    })
    assert.deepInclude(link.send("a")?.reason, { _tag: "SocketWriteError", cause })
  })
})
