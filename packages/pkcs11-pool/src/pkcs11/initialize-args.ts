/** What {@link isInitializeArgs} wants, for messages. */
export const INITIALIZE_ARGS = 'string for C_Initialize, not empty and without a NUL character'

/** Whether a string can be given to C_Initialize as a whole: C reads it up to the first NUL. */
export function isInitializeArgs(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && !value.includes('\0')
}
