/**
 * A source file with all of its mutants in it. Each asks whether it is the one that is active: `__mutant(7) ? mutant : code`.
 * The file is compiled once, and one process runs one mutant after the other.
 */
import { type Change, changesOf } from "./mutators.ts"
import { child, type Node, parse, within } from "./syntax.ts"

export interface Mutant {
  /** Counts from 1: no mutant is active when 0 is. */
  readonly id: number
  readonly file: string
  readonly line: number
  readonly mutator: string
  /** The code that is replaced, and what replaces it. */
  readonly code: string
  readonly replacement: string
  /** The line of the source that it begins in. */
  readonly source: string
}

interface Site {
  readonly start: number
  readonly end: number
  /** Statements become conditional, expressions the branch of one. */
  readonly kind: "expression" | "statements" | "block" | "body"
  readonly changes: Array<Change>
  readonly inner: Array<Site>
}

/** The object of a member, or what is called, is part of a larger expression, and changed with that. */
const isPart = (parent: Node | undefined, key: string): boolean => {
  switch (parent?.type) {
    case "CallExpression":
    case "NewExpression":
      return key === "callee"
    case "ChainExpression":
    case "TaggedTemplateExpression":
      return true
    case "UpdateExpression":
      return true
    case "AssignmentExpression":
    case "ForInStatement":
    case "ForOfStatement":
      return key === "left"
    case "UnaryExpression":
      return parent.operator === "delete"
    default:
      return false
  }
}

/** A member or call within `a?.b.c()` can't be taken out: it would no longer be skipped with the rest. */
const isInChain = (node: Node, parent: Node | undefined, key: string, inChain: boolean): boolean =>
  node.type === "ChainExpression" ||
  (inChain && (key === "object" || key === "callee" || key === "expression") && (
    parent?.type === "MemberExpression" || parent?.type === "CallExpression" || parent?.type === "ChainExpression" ||
    parent?.type === "TSNonNullExpression"
  ))

/** Names of members, keys and targets are not expressions. */
const isName = (parent: Node | undefined, key: string): boolean =>
  (key === "property" && parent?.type === "MemberExpression" && parent.computed !== true) ||
  (key === "key" && parent?.computed !== true)

const kindOf = (node: Node, change: Change, parent: Node | undefined): Site["kind"] => {
  if (change.mutator === "block") return parent?.type.includes("Function") === true ? "body" : "block"
  return node.type === "ExpressionStatement" || node.type === "SwitchCase" ? "statements" : "expression"
}

const sitesOf = (text: string, root: Node): Array<Site> => {
  const top: Array<Site> = []
  const visit = (node: Node, parent: Node | undefined, key: string, into: Array<Site>, inChain: boolean): void => {
    if (isName(parent, key)) return
    const chained = isInChain(node, parent, key, inChain)
    const isLink = chained && node.type !== "ChainExpression"
    const part = isPart(parent, key)
    const changes = isLink || (part && node.type !== "ChainExpression") ? [] : changesOf({ text, node, parent, key })
    const sites = new Map<string, Site>()
    if (node.type === "ExpressionStatement" && child(node, "expression")?.type !== "Literal") {
      const { end, start } = node
      sites.set(`${start}-${end}`, { start, end, kind: "statements", changes: [], inner: [] })
    }
    for (const change of changes) {
      const at = `${change.start}-${change.end}`
      let site = sites.get(at)
      if (site === undefined) {
        site = { start: change.start, end: change.end, kind: kindOf(node, change, parent), changes: [], inner: [] }
        sites.set(at, site)
      }
      site.changes.push(change)
    }
    for (const site of sites.values()) into.push(site)
    const own = [...sites.values()].find((site) => site.start <= node.start && site.end >= node.end)
    for (const step of within(node)) visit(step.node, node, step.key, own?.inner ?? into, chained)
  }
  visit(root, undefined, "", top, false)
  return top
}

/** Sites in the order of the text, each with those inside of it; those of one place are one. */
const nested = (sites: ReadonlyArray<Site>): Array<Site> => {
  const all: Array<Site> = []
  const collect = (sites: ReadonlyArray<Site>): void => {
    for (const site of sites) {
      all.push(site)
      collect(site.inner)
    }
  }
  collect(sites)
  all.sort((a, b) => a.start - b.start || b.end - a.end)
  const top: Array<Site> = []
  const open: Array<Site> = []
  for (const site of all) {
    while (open.length > 0 && open.at(-1)!.end <= site.start) open.pop()
    const around = open.at(-1)
    if (around?.start === site.start && around.end === site.end && around.kind === site.kind) {
      // An expression that is a condition, and a comparison: `true` for the one is `true` for the other.
      const known = new Set(around.changes.map((change) => change.replacement))
      around.changes.push(...site.changes.filter((change) => !known.has(change.replacement)))
      continue
    }
    const fresh: Site = { ...site, changes: [...site.changes], inner: [] }
    if (around === undefined) top.push(fresh)
    else around.inner.push(fresh)
    open.push(fresh)
  }
  return top
}

/** Code that runs nowhere but in a mutant that is active is that mutant's: it has no others in it. */
export const withMutants = (file: string, text: string, firstId: number): { code: string; mutants: Array<Mutant> } => {
  const mutants: Array<Mutant> = []
  const lineStarts = [0, ...[...text.matchAll(/\n/g)].map((match) => match.index + 1)]
  const register = (change: Change): number => {
    const line = lineStarts.findLastIndex((start) => start <= change.start)
    const id = firstId + mutants.length
    mutants.push({
      id,
      file,
      line: line + 1,
      mutator: change.mutator,
      code: text.slice(change.start, change.end),
      replacement: change.replacement,
      source: text.slice(lineStarts[line], (lineStarts[line + 1] ?? text.length + 1) - 1).trim()
    })
    return id
  }
  const render = (start: number, end: number, sites: ReadonlyArray<Site>): string => {
    let rendered = ""
    let at = start
    for (const site of sites) {
      rendered += text.slice(at, site.start) + switched(site)
      at = site.end
    }
    return rendered + text.slice(at, end)
  }
  const switched = (site: Site): string => {
    const ids = site.changes.map((change) => [register(change), change] as const)
    const code = render(site.start, site.end, site.inner)
    switch (site.kind) {
      case "body":
        return `{if(__mutant(${ids[0]![0]}))return;${code.slice(1)}`
      case "block":
        return `{if(!__mutant(${ids[0]![0]}))${code}}`
      case "statements":
        // A block: `else` may follow, and the line before may have no semicolon.
        return ids.length === 0 ? `{${code}}` : `{if(!__mutant(${ids[0]![0]})){${code}}}`
      case "expression":
        return `(${ids.map(([id, change]) => `__mutant(${id})?(${change.replacement}):`).join("")}(${code}))`
    }
  }
  const sites = nested(sitesOf(text, parse(text)))
  return { code: render(0, text.length, sites), mutants }
}
