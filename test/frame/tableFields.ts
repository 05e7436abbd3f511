/** The fields of a head table, from the newest to the oldest. */
import type { Field } from "../../src/internal/frame/headTable.ts"

export const tableFields = (
  { slots }: { readonly slots: ReadonlyArray<{ readonly field: Field } | undefined> }
): Array<Field> => slots.flatMap((entry) => entry === undefined ? [] : [entry.field]).reverse()
