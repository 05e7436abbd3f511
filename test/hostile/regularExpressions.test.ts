/**
 * Each regular expression of the package takes time in proportion to the text: a peer chooses most of these texts.
 *
 * Texts are looked for that make one take more: a beginning that it may match, characters that are repeated, and an end that fits
 * or does not.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Counted } from "../support/backtracking.ts"
import { literalsOf } from "../support/literals.ts"
import { Random } from "../support/random.ts"

const src = Path.join(import.meta.dirname, "../../src")

const files = Fs.readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts")).sort()

const regexes = files.flatMap((file) =>
  literalsOf(Fs.readFileSync(Path.join(src, file), "utf8"))
    .filter(({ kind }) => kind === "regex")
    .map(({ source }) => ({ file, literal: source }))
)

const regexOf = (literal: string): RegExp => {
  const end = literal.lastIndexOf("/")
  return new RegExp(literal.slice(1, end), literal.slice(end + 1))
}

const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(32 + index))
const candidates = [...printable, "\t", "\n", "\r", "\0", "\u007f", "\u00e9", "\u2028", "\u212a"]

/** A character for each class, and some that fit nowhere. */
const alphabetOf = ({ atoms, regex }: Counted): Array<string> => {
  const chars = new Set(["\n", "\u2028", "!", " ", "a"])
  for (const atom of atoms) {
    const one = new RegExp(`^(?:${atom})$`, regex.flags.replace(/[gy]/g, ""))
    const fitting = candidates.filter((char) => one.test(char))
    for (const char of [fitting[0], fitting.at(-1)]) if (char !== undefined) chars.add(char)
  }
  return [...chars]
}

/** Beginnings that match as far as they go, found by adding the character that makes the search take longest. */
const beginningsOf = (counted: Counted, alphabet: ReadonlyArray<string>): Array<string> => {
  const beginnings = [""]
  for (let length = 0; length < 10; length++) {
    let longest = { text: "", steps: -1 }
    for (const char of alphabet) {
      const text = beginnings.at(-1)! + char
      const steps = counted.steps(text)
      if (steps > longest.steps) longest = { text, steps }
    }
    beginnings.push(longest.text)
  }
  return beginnings
}

/** Steps, of a text of some 130 characters. */
const limit = 50_000

/** A text with which an expression takes more than in proportion; `undefined` where none was found. */
const worst = (literal: string): string | undefined => {
  const counted = new Counted(regexOf(literal), limit)
  const alphabet = alphabetOf(counted)
  const random = new Random(literal.length)
  const some = (length: number) => Array.from({ length }, () => random.pick(alphabet)).join("")
  const beginnings = beginningsOf(counted, alphabet)
  // Each character alone behind each beginning, and then others at random.
  const alone = beginnings.flatMap((beginning) => alphabet.map((pump) => [beginning, pump] as const))
  const others = Array.from(
    { length: 100 },
    () => [random.pick(beginnings) + some(random.int(3)), some(2 + random.int(2))] as const
  )
  for (const [beginning, pump] of [...alone, ...others]) {
    for (const end of ["", "\u2028\u2028", some(2)]) {
      const steps = (count: number) => counted.steps(beginning + pump.repeat(count) + end)
      const [few, many] = [steps(30), steps(120)]
      // Four times as many where they are in proportion, and sixteen times as many where they are quadratic.
      if (many === limit || many > 8 * few + 300) return JSON.stringify([beginning, pump, end, few, many])
    }
  }
  return undefined
}

describe("regular expressions", () => {
  it("the search finds a text for expressions that take quadratic or exponential time, and none for linear ones", () => {
    for (const slow of ["/^a:[ \\t]*((?:.*[^ \\t])?)[ \\t]*$/", "/(a+)+$/", "/^(?:a|a?)+$/", "/x*y/", "/\\s+$/"]) {
      assert.isDefined(worst(slow), slow)
    }
    for (const fast of ["/^[a-z]+$/", "/[\\r\\n]/", "/^\"(?:[^\"\\\\]|\\\\.)*\"$/"]) {
      assert.isUndefined(worst(fast), fast)
    }
  })

  it("the regular expressions of the package are found in its code", () => {
    assert.isAbove(regexes.length, 40)
    for (const part of ["HTTP\\/(\\d)", "[0-9a-f]{1,8}", "(?:^|[,\\s])u=", "%(?![0-9a-f]{2})"]) {
      assert.isTrue(regexes.some(({ literal }) => literal.includes(part)), part)
    }
    // As many as a plain search for their beginnings finds.
    const plain = files.flatMap((file) =>
      [...Fs.readFileSync(Path.join(src, file), "utf8").matchAll(/(?<!\/)(?<=[(=?] ?)\/(?![*/])(?=[\^[(\\])/g)].map(
        () => file
      )
    )
    assert.isAtLeast(regexes.length, plain.length)
  })

  // Without repetition each start takes a few steps at most.
  const repeating = regexes.map(({ literal }) => literal).filter((literal) => /[*+]|\{\d+,\}/.test(literal))
  for (const literal of new Set(repeating)) {
    const { file } = regexes.find((one) => one.literal === literal)!
    it(`${literal} takes time in proportion to the text (${file})`, () => {
      assert.isUndefined(worst(literal))
    })
  }
})
