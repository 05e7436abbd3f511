/**
 * The literals of a TypeScript file: strings, templates and regular expressions, without the comments around them.
 */

export interface Literal {
  readonly kind: "string" | "template" | "regex"
  /** As it is written, with its quotes. */
  readonly source: string
}

const token =
  /\/\/.*|\/\*[^]*?\*\/|"(?:\\.|[^"\\\n])*"|`(?:\\[^]|\$\{(?:[^{}`]|\{[^{}`]*\}|`[^`]*`)*\}|[^`\\])*`|\/(?![*/])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\[\n])+\/[a-z]*/g

/** What may stand before a regular expression; anything else is divided. */
const beforeRegex = /(?:^|[(,=:[!&|?{};>]|\breturn)\s*$/

/** Those inside of a template's places follow the template. */
export const literalsOf = (file: string): Array<Literal> => {
  const code = file.replace(/^#!.*/, "")
  const found: Array<Literal> = []
  let before = ""
  let at = 0
  token.lastIndex = 0
  for (let match = token.exec(code); match !== null; match = token.exec(code)) {
    const [source] = match
    before += code.slice(at, match.index)
    at = token.lastIndex
    if (source.startsWith("//") || source.startsWith("/*")) continue
    const kind = source.startsWith("\"") ? "string" : source.startsWith("`") ? "template" : "regex"
    if (kind === "regex" && !beforeRegex.test(before)) {
      // The sign of a division: what follows it is code.
      before += "/"
      at = token.lastIndex = match.index + 1
      continue
    }
    before += "x"
    found.push({ kind, source })
    if (kind !== "template") continue
    for (const [, inner] of source.matchAll(/\$\{((?:[^{}`]|\{[^{}`]*\}|`[^`]*`)*)\}/g)) {
      found.push(...literalsOf(inner!))
    }
    token.lastIndex = at
  }
  return found
}
