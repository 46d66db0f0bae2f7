/** The value of each series, by its name with its labels as they were written. */
export type Series = ReadonlyMap<string, number>

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const LABEL = '[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\\\n]|\\\\["\\\\n])*"'
const SAMPLE = new RegExp(`^(${NAME})({${LABEL}(?:,${LABEL})*})? (NaN|[+-]?(?:Inf|\\d+(?:\\.\\d+)?(?:e[+-]?\\d+)?))$`)
const COMMENT = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`)
/** Units that Prometheus' conventions would have in base units. */
const NO_BASE_UNITS =
  /_(milliseconds|ms|microseconds|us|nanoseconds|minutes|hours|kilobytes|kb|megabytes|mb|percent)(_|$)/

/** What Prometheus would read. Lines that it would not are left to {@link faultsOf}. */
export function readExposition(text: string): Series {
  const series = new Map<string, number>()
  for (const line of text.split('\n')) {
    const [, name = '', labels = '', value = ''] = SAMPLE.exec(line) ?? []
    if (name !== '') series.set(name + labels, Number(value.replace('Inf', 'Infinity')))
  }
  return series
}

/**
 * What is wrong with a text by the format (https://prometheus.io/docs/instrumenting/exposition_formats/) and by the naming conventions,
 * as `promtool check metrics` has it.
 */
export function faultsOf(text: string): string[] {
  const faults: string[] = []
  const types = new Map<string, string>()
  const helps = new Set<string>()
  const seen = new Set<string>()
  const done = new Set<string>()
  let family = ''
  if (!text.endsWith('\n')) faults.push('the last line has no end')
  for (const line of text.split('\n')) {
    if (line === '') continue
    const [, kind, about = '', rest = ''] = COMMENT.exec(line) ?? []
    if (kind !== undefined) {
      if (done.has(about) || (kind === 'HELP' ? helps : types).has(about))
        faults.push(`${about}: ${kind} twice, or apart`)
      if (about !== family) done.add(family)
      family = about
      if (kind === 'HELP') helps.add(about)
      else types.set(about, rest)
      faults.push(...misnamed(about, kind === 'TYPE' ? rest : undefined))
      continue
    }
    const [, name = '', labels = ''] = SAMPLE.exec(line) ?? []
    const type = types.get(family)
    const suffixes =
      type === 'histogram' ? ['_bucket', '_sum', '_count'] : type === 'summary' ? ['', '_sum', '_count'] : ['']
    if (name === '') faults.push(`no sample: ${line}`)
    else if (!suffixes.some((suffix) => name === family + suffix)) faults.push(`${name}: stands under ${family}`)
    if (seen.has(name + labels)) faults.push(`${name}${labels}: twice`)
    seen.add(name + labels)
  }
  for (const name of types.keys()) if (!helps.has(name)) faults.push(`${name}: no HELP`)
  return faults
}

function misnamed(name: string, type: string | undefined): string[] {
  const faults: string[] = []
  if (type === 'counter' && !name.endsWith('_total')) faults.push(`${name}: a counter without _total`)
  if (type !== undefined && type !== 'counter' && name.endsWith('_total'))
    faults.push(`${name}: _total, and no counter`)
  if (NO_BASE_UNITS.test(name)) faults.push(`${name}: no base unit`)
  if (/[A-Z]/.test(name)) faults.push(`${name}: an upper case letter`)
  return faults
}
