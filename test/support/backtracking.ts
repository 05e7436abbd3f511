/**
 * How many steps a regular expression takes that tries one way after the other, as those of JavaScript do: counted and not timed.
 */

/** Tries to match from an index; `next` goes on with the rest. */
type Matcher = (text: string, at: number, next: (at: number) => boolean) => boolean

/** Thrown when a match takes more steps than anything linear. */
class TooMany extends Error {}

const quantifier = /^(?:([*+?])|\{(\d+)(?:(,)(\d*))?\})(\??)/

/** A regular expression whose steps are counted. */
export class Counted {
  readonly regex: RegExp
  /** Sources of its classes and characters, each a regular expression for one character. */
  readonly atoms: Array<string> = []
  readonly #flags: string
  readonly #source: string
  readonly #matcher: Matcher
  readonly #limit: number
  #at = 0
  #steps = 0

  constructor(regex: RegExp, limit: number) {
    this.regex = regex
    this.#limit = limit
    this.#flags = regex.flags.replace(/[gyd]/g, "")
    this.#source = regex.source
    this.#matcher = this.#alternatives()
    if (this.#at !== this.#source.length) throw new Error(`${regex.source}: not read from ${this.#at}`)
  }

  /** Steps of a search through the whole text; `limit` where it takes more. */
  steps(text: string): number {
    this.#steps = 0
    try {
      for (let at = 0; at <= text.length; at++) if (this.#matcher(text, at, () => true)) break
    } catch (error) {
      if (!(error instanceof TooMany)) throw error
    }
    return Math.min(this.#steps, this.#limit)
  }

  #step(): void {
    if (++this.#steps > this.#limit) throw new TooMany()
  }

  // --- the expression, from left to right ----------------------------------------------------------------------------

  #takes(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }

  #alternatives(): Matcher {
    const ways = [this.#sequence()]
    while (this.#takes("|")) ways.push(this.#sequence())
    return (text, at, next) => ways.some((way) => way(text, at, next))
  }

  #sequence(): Matcher {
    const parts: Array<Matcher> = []
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) parts.push(this.#quantified())
    const from = (index: number): Matcher => {
      const part = parts[index]
      if (part === undefined) return (_text, at, next) => next(at)
      const rest = from(index + 1)
      return (text, at, next) => part(text, at, (end) => rest(text, end, next))
    }
    return from(0)
  }

  #quantified(): Matcher {
    const once = this.#atom()
    const found = quantifier.exec(this.#source.slice(this.#at))
    if (found === null) return once
    this.#at += found[0].length
    const [, sign, low, comma, high, lazy] = found
    const least = sign === undefined ? Number(low) : sign === "+" ? 1 : 0
    const most = sign === undefined
      ? comma === undefined ? least : Number(high || Infinity)
      : sign === "?"
      ? 1
      : Infinity
    const repeated = (count: number): Matcher => (text, at, next) => {
      this.#step()
      const more = () =>
        count < most && once(text, at, (end) => (end > at || count < least) && repeated(count + 1)(text, end, next))
      const enough = () => count >= least && next(at)
      return lazy === "?" ? enough() || more() : more() || enough()
    }
    return repeated(0)
  }

  #atom(): Matcher {
    if (this.#takes("(")) {
      const isNegative = this.#takes("?!")
      const isAhead = isNegative || this.#takes("?=")
      if (!isAhead && this.#source[this.#at] === "?" && !this.#takes("?:")) throw new Error(`${this.#source}: a group`)
      const inner = this.#alternatives()
      if (!this.#takes(")")) throw new Error(`${this.#source}: a group that does not end`)
      return isAhead ? (text, at, next) => inner(text, at, () => true) !== isNegative && next(at) : inner
    }
    const assertion = ["^", "$", "\\b"].find((sign) => this.#takes(sign))
    if (assertion !== undefined) {
      const regex = new RegExp(assertion, `${this.#flags}y`)
      return (text, at, next) => {
        this.#step()
        regex.lastIndex = at
        return regex.test(text) && next(at)
      }
    }
    return this.#character()
  }

  #character(): Matcher {
    const [atom] = /^(?:\[(?:\\.|[^\]\\])*\]|\\p\{\w+\}|\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\.|.)/i.exec(
      this.#source.slice(this.#at)
    )!
    this.#at += atom.length
    this.atoms.push(atom)
    const regex = new RegExp(`^(?:${atom})$`, this.#flags)
    const known = new Map<string, boolean>()
    return (text, at, next) => {
      this.#step()
      const char = text[at]
      if (char === undefined) return false
      let fits = known.get(char)
      if (fits === undefined) known.set(char, fits = regex.test(char))
      return fits && next(at + 1)
    }
  }
}
