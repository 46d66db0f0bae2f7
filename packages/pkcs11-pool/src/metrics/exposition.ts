/** One figure, as Prometheus knows them. */
export interface Metric {
  name: string
  type: 'counter' | 'gauge'
  help: string
  value: number
}

/** Figures that have the same labels. */
export interface MetricSeries {
  metrics: readonly Metric[]
  labels: Readonly<Record<string, string>>
}

/** Prometheus' text format 0.0.4. What several series have under one name stands together, as the format asks. */
export function toPrometheusText(...series: readonly MetricSeries[]): string {
  const texts = new Map<string, string>()
  for (const { metrics, labels } of series) {
    const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
    const suffix = pairs.length === 0 ? '' : `{${pairs.join(',')}}`
    for (const { name, type, help, value } of metrics) {
      const before = texts.get(name) ?? `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`
      texts.set(name, `${before}${name}${suffix} ${value}\n`)
    }
  }
  return [...texts.values()].join('')
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')
}
