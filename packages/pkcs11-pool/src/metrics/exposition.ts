/** One figure, as Prometheus knows them. */
export interface Metric {
  name: string
  type: 'counter' | 'gauge'
  help: string
  value: number
}

/** Prometheus' text format 0.0.4, each figure with the same labels. */
export function toPrometheusText(metrics: readonly Metric[], labels: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  const suffix = pairs.length === 0 ? '' : `{${pairs.join(',')}}`
  return metrics
    .map(({ name, type, help, value }) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name}${suffix} ${value}\n`)
    .join('')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
