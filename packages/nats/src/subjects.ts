/** Where requests for a method go: `flotilla.calc.v1.Calculator.sum`. Names of services and methods are identifiers, which can stand in a subject. */
export function subjectOf(prefix: string, procedure: string): string {
  return `${prefix}.${procedure.replace("/", ".")}`;
}

/** Where every process that serves a service hears which calls were given up. No method can be called that. */
export function cancelSubjectOf(prefix: string, service: string): string {
  return `${prefix}.${service}.$cancel`;
}

/** The name of a service where dots may not stand (services of ADR-32, durable consumers): `calc-v1-Calculator`. Identifiers have no dashes, so no two names meet. */
export function dashed(service: string): string {
  return service.replaceAll(".", "-");
}
