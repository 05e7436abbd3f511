/**
 * Assertions of the suites. They need no test runner: a failed one throws the `AssertionError` of `node:assert`, whose
 * difference runners print.
 */
import * as Assert from "node:assert"

export function strictEqual<A>(actual: A, expected: A, message?: string): void {
  Assert.strictEqual(actual, expected, message)
}

export function deepStrictEqual<A>(actual: A, expected: A, message?: string): void {
  Assert.deepStrictEqual(actual, expected, message)
}

export function fail(message: string): never {
  return Assert.fail(message)
}

export function isTrue(value: unknown, message?: string): asserts value is true {
  Assert.strictEqual(value, true, message)
}

export function isFalse(value: unknown, message?: string): asserts value is false {
  Assert.strictEqual(value, false, message)
}

export function isUndefined(value: unknown, message?: string): asserts value is undefined {
  Assert.strictEqual(value, undefined, message)
}

export function isDefined<A>(value: A, message?: string): asserts value is Exclude<A, undefined> {
  Assert.notStrictEqual(value, undefined, message)
}

export function match(value: string, pattern: RegExp, message?: string): void {
  Assert.match(value, pattern, message)
}

export function instanceOf<A>(value: unknown, constructor: new(...args: any) => A): asserts value is A {
  Assert.ok(value instanceof constructor, `${String(value)} is no ${constructor.name}`)
}

/** A text has a part, or a list an element. */
export function include<A>(whole: string | ReadonlyArray<A>, part: string | A, message?: string): void {
  const has = (whole as ReadonlyArray<unknown>).includes(part)
  Assert.ok(has, message ?? `${JSON.stringify(part)} is not in ${JSON.stringify(whole)}`)
}

export function notInclude<A>(whole: string | ReadonlyArray<A>, part: string | A, message?: string): void {
  const has = (whole as ReadonlyArray<unknown>).includes(part)
  Assert.ok(!has, message ?? `${JSON.stringify(part)} is in ${JSON.stringify(whole)}`)
}
