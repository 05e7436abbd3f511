/**
 * The syntax tree of a source file, as far as mutants need it: which nodes are expressions of the program, and not types,
 * names or targets of assignments.
 */
import { parseAst } from "vitest/node"

export interface Node {
  readonly type: string
  readonly start: number
  readonly end: number
  readonly [key: string]: unknown
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof (value as Node).type === "string" &&
  typeof (value as Node).start === "number"

export const parse = (text: string): Node => parseAst(text, { lang: "ts" }) as unknown as Node

export const child = (node: Node, key: string): Node | undefined => {
  const value = node[key]
  return isNode(value) ? value : undefined
}

export const listOf = (node: Node, key: string): ReadonlyArray<Node> => {
  const value = node[key]
  return Array.isArray(value) ? value.filter(isNode) : []
}

/** Nodes of TypeScript that wrap an expression. All other nodes of its own are types, which no mutant changes. */
const wrappers: ReadonlySet<string> = new Set(["TSAsExpression", "TSNonNullExpression", "TSSatisfiesExpression"])

const isType = (node: Node): boolean => node.type.startsWith("TS") && !wrappers.has(node.type)

export interface Step {
  readonly node: Node
  readonly key: string
}

/** What is directly within a node, in the order of the text, without types and without modules' specifiers. */
export const within = (node: Node): Array<Step> => {
  if (node.type === "ImportDeclaration" || node.type === "ExportAllDeclaration") return []
  const steps: Array<Step> = []
  for (const [key, value] of Object.entries(node)) {
    if (key === "source" && node.type === "ExportNamedDeclaration") continue
    for (const inner of Array.isArray(value) ? value : [value]) {
      if (isNode(inner) && !isType(inner)) steps.push({ node: inner, key })
    }
  }
  return steps.sort((a, b) => a.node.start - b.node.start)
}
