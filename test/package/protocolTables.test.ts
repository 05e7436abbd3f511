/**
 * The tables of PROTOCOL.md have the numbers and names of the code: what another program reads there is what this one does.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Socket from "effect/socket/Socket"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { ErrorCode, RefusalCode } from "../../src/internal/frame/codes.ts"
import * as FrameType from "../../src/internal/frame/FrameType.ts"
import { EXTENSION, methods } from "../../src/internal/frame/grammar.ts"
import { DecodeTable } from "../../src/internal/frame/headTable.ts"
import * as relayCodes from "../../src/internal/frame/relayCodes.ts"
import { settingRanges } from "../../src/internal/handshake/settings.ts"
import { endOf, isLoss } from "../../src/internal/link/linkErrors.ts"

const sections = new Map(
  Fs.readFileSync(Path.join(import.meta.dirname, "../../PROTOCOL.md"), "utf8").split(/^#+ /m)
    .map((section) => [section.slice(0, section.indexOf("\n")), section])
)

/** The rows of the tables of a section, without markup. */
const rowsOf = (title: string): ReadonlyArray<ReadonlyArray<string>> =>
  sections.get(title)!.split("\n").filter((line) => line.startsWith("| "))
    .map((line) => line.slice(2, -1).split(" |").map((cell) => cell.trim().replaceAll(/`|\[|\]\([^)]*\)/g, "")))

const number = (text: string): number => Number(text.replaceAll(",", ""))

/** The numbers of `1000, 1002 to 1004`. */
const numbersOf = (text: string): ReadonlyArray<number> =>
  text.split(", ").flatMap((range) => {
    const [first, last = first] = range.split(" to ").map(Number)
    return Array.from({ length: last! - first! + 1 }, (_, index) => first! + index)
  })

describe("tables of PROTOCOL.md", () => {
  // PROTOCOL.md EXT-1, EXT-2
  it("have the types of frames, none of them in a range for others", () => {
    const types = rowsOf("Layout").filter(([, name]) => name !== undefined && /^[A-Z]+$/.test(name))
    assert.deepStrictEqual(Object.fromEntries(types.map(([type, name]) => [name, Number(type)])), { ...FrameType })
    assert.isTrue(Object.values(FrameType).every((type) => type < EXTENSION))
  })

  // PROTOCOL.md EXT-2
  it("have the settings, with their ranges and defaults, none with a name of others", () => {
    const settings = rowsOf("Settings").flatMap(([name, standard, range]) =>
      range?.includes(" to ") ? [[name!, [...range.split(" to ").map(number), number(standard!)]]] : []
    )
    assert.deepStrictEqual(Object.fromEntries(settings), settingRanges)
    assert.isFalse(Object.keys(settingRanges).some((name) => name.includes("/")))
  })

  it("have the error codes", () => {
    const codes = rowsOf("Error codes").flatMap(([code, name]) => /^\d+$/.test(code!) ? [[name!, Number(code)]] : [])
    const { CONNECTION_LOST, NO_SUCH_CONNECTION } = relayCodes
    assert.deepStrictEqual(Object.fromEntries(codes), { ...ErrorCode, CONNECTION_LOST, NO_SUCH_CONNECTION })
  })

  it("have the close codes of refusals", () => {
    const codes = rowsOf("Close codes").flatMap(([code, name]) =>
      /^41\d\d$/.test(code!) && name !== "" ? [[name!, Number(code)]] : []
    )
    assert.deepStrictEqual(Object.fromEntries(codes), { ...RefusalCode })
  })

  it("have the methods, and the entries of the static table", () => {
    const bytes = rowsOf("Method").flatMap(([byte, method]) => /^[1-9]$/.test(byte!) ? [[Number(byte), method]] : [])
    assert.deepStrictEqual(bytes, methods.map((method, byte) => [byte, method]).slice(1))
    const table = new DecodeTable(0)
    const entries = rowsOf("Static table").filter(([index]) => /^\d+$/.test(index!))
    assert.strictEqual(entries.length, 48)
    for (const [index, name, value = ""] of entries) {
      assert.deepStrictEqual(table.get(Number(index))?.field, [name!, value])
    }
    assert.isUndefined(table.get(48))
  })

  it("say of each close code whether a connection outlives it", () => {
    const decided = new Set<number>()
    for (const [codes = "", , , open, resumed] of rowsOf("States of a connection").slice(-9)) {
      for (const code of numbersOf(codes)) {
        const error = endOf(new Socket.SocketError({ reason: new Socket.SocketCloseError({ code }) }))
        const found = [false, true].map((isResumed) => isLoss(error, isResumed) ? "interrupted" : "ended")
        assert.deepStrictEqual([code, ...found], [code, open, resumed])
        decided.add(code)
      }
    }
    assert.strictEqual(decided.size, 4000)
  })
})
