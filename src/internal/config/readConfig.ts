/**
 * Options that come from the configuration of a program.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import { SchemaError } from "effect/Schema"
import { InvalidValue } from "effect/SchemaIssue"

/**
 * Reads options and makes something of them. Options that `make` throws for are a fault of the configuration, where they would be
 * one of the program otherwise.
 *
 * @internal
 */
export const readConfig = <A, B>(
  options: Config.Wrap<A>,
  make: (options: A) => B
): Effect.Effect<B, Config.ConfigError> =>
  Effect.flatMap(Config.unwrap(options), (options) =>
    Effect.try({
      try: () => make(options),
      catch: (error) => new Config.ConfigError(new SchemaError(new InvalidValue({ message: (error as Error).message })))
    }))
