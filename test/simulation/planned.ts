/**
 * What fails because the plan says so.
 */

/** What all errors on purpose say. */
export const planned = "as planned"

export class Planned extends Error {
  constructor(what: string) {
    super(`${what} ${planned}`)
  }
}
