/**
 * Which mutants a node has: the standard ones of mutation testing, and calls that are left out. Texts are left as they are,
 * except those that something is looked up by: most others are read by people.
 */
import { child, listOf, type Node } from "./syntax.ts"

/** One change: what stands from `start` to `end` is replaced. */
export interface Change {
  readonly start: number
  readonly end: number
  readonly replacement: string
  readonly mutator: string
}

/** Where a node stands. */
export interface Place {
  readonly text: string
  readonly node: Node
  readonly parent: Node | undefined
  readonly key: string
}

const comparisons: Readonly<Record<string, ReadonlyArray<string>>> = {
  "<": ["<=", ">="],
  "<=": ["<", ">"],
  ">": [">=", "<="],
  ">=": [">", "<"],
  "===": ["!=="],
  "!==": ["==="],
  "==": ["!="],
  "!=": ["=="]
}

const arithmetic: Readonly<Record<string, string>> = {
  "+": "-",
  "-": "+",
  "*": "/",
  "/": "*",
  "%": "*",
  "<<": ">>",
  ">>": "<<",
  ">>>": "<<",
  "&": "|",
  "|": "&",
  "^": "&"
}

const logical: Readonly<Record<string, string>> = { "&&": "||", "||": "&&", "??": "&&" }

const assignments: Readonly<Record<string, string>> = {
  "+=": "-=",
  "-=": "+=",
  "*=": "/=",
  "/=": "*=",
  "%=": "*=",
  "<<=": ">>=",
  ">>=": "<<=",
  ">>>=": "<<=",
  "&=": "|=",
  "|=": "&=",
  "^=": "&=",
  "&&=": "||=",
  "||=": "&&=",
  "??=": "&&="
}

/** Methods that are exchanged for another, or left out where there is none. */
const methods: Readonly<Record<string, string | undefined>> = {
  endsWith: "startsWith",
  startsWith: "endsWith",
  toUpperCase: "toLowerCase",
  toLowerCase: "toUpperCase",
  some: "every",
  every: "some",
  min: "max",
  max: "min",
  trim: undefined,
  trimEnd: "trimStart",
  trimStart: "trimEnd",
  slice: undefined,
  subarray: undefined,
  filter: undefined,
  sort: undefined,
  reverse: undefined
}

/** Methods that look something up by a text. */
const lookups: ReadonlySet<string> = new Set([
  "get",
  "has",
  "includes",
  "startsWith",
  "endsWith",
  "indexOf",
  "lastIndexOf",
  "split",
  "join",
  "append",
  "set",
  "delete"
])

const textOf = ({ text }: Place, node: Node): string => text.slice(node.start, node.end)

const isText = (node: Node | undefined): boolean =>
  node !== undefined && (node.type === "TemplateLiteral" || (node.type === "Literal" && typeof node.value === "string"))

const replaced = (node: Node, mutator: string, ...replacements: ReadonlyArray<string>): Array<Change> =>
  replacements.map((replacement) => ({ start: node.start, end: node.end, replacement, mutator }))

/** The operator between two operands is exchanged. */
const exchanged = (place: Place, mutator: string, left: Node, right: Node, operators: ReadonlyArray<string>) =>
  replaced(
    place.node,
    mutator,
    ...operators.map((operator) => {
      // What is between the operands: parentheses, line breaks, and the operator.
      const between = place.text.slice(left.end, right.start).replace(String(place.node.operator), () => operator)
      return place.text.slice(place.node.start, left.end) + between + place.text.slice(right.start, place.node.end)
    })
  )

const binary = (place: Place): Array<Change> => {
  const { node } = place
  const operator = String(node.operator)
  const left = child(node, "left")!
  const right = child(node, "right")!
  const compared = comparisons[operator]
  if (compared !== undefined) {
    return [...replaced(node, "condition", "true", "false"), ...exchanged(place, "comparison", left, right, compared)]
  }
  if (operator === "instanceof" || operator === "in") return replaced(node, "condition", "true", "false")
  const other = arithmetic[operator]
  if (other === undefined || isConcatenation(node)) return []
  return exchanged(place, "arithmetic", left, right, [other])
}

const isConcatenation = (node: Node | undefined): boolean =>
  node !== undefined && (isText(node) || (node.type === "BinaryExpression" && node.operator === "+" &&
    (isConcatenation(child(node, "left")) || isConcatenation(child(node, "right")))))

/** Operands that need parentheses next to another operator. */
const loose: ReadonlySet<string> = new Set([
  "ArrowFunctionExpression",
  "AssignmentExpression",
  "ConditionalExpression",
  "LogicalExpression",
  "YieldExpression"
])

const logic = (place: Place): Array<Change> => {
  const { node } = place
  const operator = String(node.operator)
  const [left, right] = [child(node, "left")!, child(node, "right")!]
  const conditions = operator === "??" ? [] : replaced(node, "condition", "true", "false")
  const operand = (part: Node): string => loose.has(part.type) ? `(${textOf(place, part)})` : textOf(place, part)
  return [...conditions, ...replaced(node, "logic", `${operand(left)} ${logical[operator]!} ${operand(right)}`)]
}

const unary = (place: Place): Array<Change> => {
  const { node } = place
  const argument = textOf(place, child(node, "argument")!)
  switch (node.operator) {
    case "!":
      return replaced(node, "negation", argument)
    case "-":
    case "~":
      return replaced(node, "sign", argument)
    default:
      return []
  }
}

/** The method that a call calls by its name. */
const methodOf = (call: Node): Node | undefined => {
  const callee = child(call, "callee")
  return callee?.type === "MemberExpression" && callee.computed !== true ? child(callee, "property") : undefined
}

const call = (place: Place): Array<Change> => {
  const method = methodOf(place.node)
  const name = method === undefined ? undefined : String(method.name)
  if (method === undefined || name === undefined || !Object.hasOwn(methods, name)) return []
  const other = methods[name]
  const object = textOf(place, child(child(place.node, "callee")!, "object")!)
  if (other === undefined) return replaced(place.node, "method", object)
  const { end, start } = place.node
  return replaced(
    place.node,
    "method",
    place.text.slice(start, method.start) + other + place.text.slice(method.end, end)
  )
}

/** Each `?.` of a chain becomes `.`; what else there is within a chain is changed with the chain as a whole. */
const chain = (place: Place): Array<Change> => {
  const changes: Array<Change> = []
  let link = child(place.node, "expression")
  while (link !== undefined) {
    const before = child(link, "object") ?? child(link, "callee") ?? child(link, "expression")
    if (link.optional === true && before !== undefined) {
      const at = place.text.indexOf("?.", before.end)
      const isCalled = /^\?\.[([]/.test(place.text.slice(at, at + 3))
      const { end, start } = place.node
      const text = place.text.slice(start, at) + (isCalled ? "" : ".") + place.text.slice(at + 2, end)
      changes.push(...replaced(place.node, "optional chaining", text))
    }
    link = before
  }
  const last = child(place.node, "expression")!
  return last.type === "CallExpression" ? [...changes, ...call({ ...place, node: last })] : changes
}

const literal = ({ key, node, parent }: Place): Array<Change> => {
  if (typeof node.value === "boolean") return replaced(node, "boolean", String(!node.value))
  const method = key === "arguments" && parent?.type === "CallExpression" ? methodOf(parent) : undefined
  if (typeof node.value === "string" && method !== undefined && lookups.has(String(method.name))) {
    return replaced(node, "text", node.value === "" ? "\"mutant\"" : "\"\"")
  }
  return typeof node.regex === "object" && node.regex !== null ? pattern(node) : []
}

/** Anchors, quantifiers, negations and classes of a pattern. */
const pattern = (node: Node): Array<Change> => {
  const { flags, pattern } = node.regex as { readonly pattern: string; readonly flags: string }
  const changed = new Set<string>()
  const change = (find: RegExp, by: string): void => {
    for (const match of pattern.matchAll(find)) {
      changed.add(pattern.slice(0, match.index) + by + pattern.slice(match.index + match[0].length))
    }
  }
  change(/(?<![\\[])\^/g, "")
  change(/(?<!\\)\$/g, "")
  change(/(?<=[\w\])])[+*?](?!\])/g, "")
  change(/\[\^/g, "[")
  change(/(?<!\\)\[(?!\^)/g, "[^")
  return replaced(node, "pattern", ...[...changed].map((text) => `/${text}/${flags}`))
}

const isRemovable = (expression: Node | undefined): boolean =>
  expression !== undefined && (
    expression.type === "CallExpression" || expression.type === "AwaitExpression" ||
    expression.type === "YieldExpression" ||
    (expression.type === "ChainExpression" && isRemovable(child(expression, "expression"))) ||
    (expression.type === "UnaryExpression" && expression.operator === "void" &&
      isRemovable(child(expression, "argument")))
  )

const isSuperCall = (statement: Node): boolean =>
  statement.type === "ExpressionStatement" && child(child(statement, "expression")!, "callee")?.type === "Super"

/** A statement that only calls something, which is not the constructor of the superclass. */
const isCallOnly = (statement: Node): boolean =>
  statement.type === "ExpressionStatement" && isRemovable(child(statement, "expression")) && !isSuperCall(statement)

const block = ({ key, node, parent }: Place): Array<Change> => {
  const body = listOf(node, "body")
  // Without its only call, it is a mutant already; a class has to call its superclass; a `try` without its block is none.
  const hasOthers = body.length === 0 || (body.length === 1 && isCallOnly(body[0]!)) || body.some(isSuperCall) ||
    (parent?.type === "TryStatement" && key === "block")
  return hasOthers ? [] : replaced(node, "block", "{}")
}

const condition = (node: Node | undefined, ...values: ReadonlyArray<string>): Array<Change> =>
  node === undefined ? [] : replaced(node, "condition", ...values)

/** The mutants of a node itself, and of its condition. */
export const changesOf = (place: Place): Array<Change> => {
  const { node } = place
  switch (node.type) {
    case "ArrayExpression":
      return listOf(node, "elements").length === 0 ? [] : replaced(node, "array", "[]")
    case "ArrowFunctionExpression": {
      const body = child(node, "body")!
      return body.type === "BlockStatement" || textOf(place, body) === "undefined"
        ? []
        : replaced(body, "arrow function", "undefined")
    }
    case "AssignmentExpression": {
      const other = assignments[String(node.operator)]
      const right = child(node, "right")!
      if (other === undefined || (node.operator === "+=" && isConcatenation(right))) return []
      return exchanged(place, "assignment", child(node, "left")!, right, [other])
    }
    case "BinaryExpression":
      return binary(place)
    case "BlockStatement":
      return block(place)
    case "CallExpression":
      return call(place)
    case "ChainExpression":
      return chain(place)
    case "ConditionalExpression":
    case "IfStatement":
      return condition(child(node, "test"), "true", "false")
    case "DoWhileStatement":
    case "ForStatement":
    case "WhileStatement":
      return condition(child(node, "test"), "false")
    case "ExpressionStatement":
      return isCallOnly(node) ? replaced(node, "call", ";") : []
    case "Literal":
      return literal(place)
    case "LogicalExpression":
      return logic(place)
    case "ObjectExpression":
      return listOf(node, "properties").length === 0 ? [] : replaced(node, "object", "{}")
    case "SwitchCase":
      return listOf(node, "consequent").length === 0 ? [] : [{
        start: listOf(node, "consequent")[0]!.start,
        end: listOf(node, "consequent").at(-1)!.end,
        replacement: ";",
        mutator: "case"
      }]
    case "UnaryExpression":
      return unary(place)
    case "UpdateExpression": {
      const other = node.operator === "++" ? "--" : "++"
      const argument = textOf(place, child(node, "argument")!)
      return replaced(node, "update", node.prefix === true ? other + argument : argument + other)
    }
    default:
      return []
  }
}
