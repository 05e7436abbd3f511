import type { Scenario } from "../scenario.ts"
import { down, up } from "./bodies.ts"
import headOfLine from "./headOfLine.ts"
import idle from "./idle.ts"
import items from "./items.ts"
import { connections, streams } from "./scaling.ts"
import small from "./small.ts"
import { wanBody, wanCalls } from "./wan.ts"

export const scenarios: ReadonlyArray<Scenario> = [
  small,
  down,
  up,
  items,
  headOfLine,
  idle,
  connections,
  streams,
  wanBody,
  wanCalls
]
