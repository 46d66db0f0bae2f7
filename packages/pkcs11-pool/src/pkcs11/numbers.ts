import { endianness } from 'node:os'

/** Whether this machine writes numbers with the low byte first. */
export const LITTLE_ENDIAN: boolean = endianness() === 'LE'

const ARCHITECTURES_OF_32_BITS: readonly string[] = ['arm', 'ia32', 'mips', 'mipsel', 'ppc', 's390']

/** Bytes in a CK_ULONG, an `unsigned long` of C: 4 on Windows and on 32-bit machines, else 8. The addon's `ulongSize` agrees. */
export const ULONG_SIZE: 4 | 8 = process.platform === 'win32' || ARCHITECTURES_OF_32_BITS.includes(process.arch) ? 4 : 8

/** A CK number as `0x` and at least eight hexadecimal digits. */
export function hex32(value: number): `0x${string}` {
  return `0x${value.toString(16).padStart(8, '0')}`
}

/** Names by number: the other way round through a table of constants. */
export function namesByNumber<Name extends string>(table: Readonly<Record<Name, number>>): ReadonlyMap<number, Name> {
  return new Map(Object.entries<number>(table).map(([name, number]) => [number, name as Name]))
}
