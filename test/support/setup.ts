/**
 * Runs before each file of tests.
 */
import { afterAll } from "vitest"
import { endFile } from "./endOfFile.ts"

afterAll(endFile)
