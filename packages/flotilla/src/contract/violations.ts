import type { FieldViolation } from "../errors/details.ts";
import type { SchemaIssue } from "./schema.ts";

/** At most so many violations are reported of one message. */
const MAX_VIOLATIONS = 20;
/** Field paths and descriptions quote what was sent: they are cut to so many characters. */
const MAX_TEXT = 300;
/** How many forms of a union are told apart, and unions within unions. */
const MAX_FORMS = 4;
const MAX_DEPTH = 3;

/** What a validator found wrong, as the field violations of a google.rpc.BadRequest: the first 20. */
export function violations(issues: readonly SchemaIssue[]): FieldViolation[] {
  const found: FieldViolation[] = [];
  // Not slice and map: some validators' lists are subclasses of Array that cannot be copied so.
  for (const issue of issues) {
    if (found.length === MAX_VIOLATIONS) break;
    const field = fieldPath(issue.path);
    found.push({ field: cut(field), description: cut(describe(issue, field)) });
  }
  return found;
}

function describe(issue: SchemaIssue, field: string, depth = 0): string {
  const { message } = issue;
  // arktype begins with the path, which stands in the field already.
  const what = field !== "" && message.startsWith(`${field} `) ? message.slice(field.length + 1) : message;
  const forms = depth < MAX_DEPTH ? formsOf(issue) : [];
  if (forms.length === 0) return what;
  const told = forms.slice(0, MAX_FORMS).map((form) => {
    const path = fieldPath(form.path);
    const inner = describe(form, path, depth + 1);
    return path === "" ? inner : `${path}: ${inner}`;
  });
  return `${what} (${told.join("; or ")}${forms.length > MAX_FORMS ? "; or …" : ""})`;
}

/**
 * What was wrong with each form of a union, or with a key: the first issue of each. Standard Schema has no field for it; zod
 * gives `errors`, a list for each form, and valibot `issues`.
 */
function formsOf(issue: SchemaIssue): SchemaIssue[] {
  const { errors, issues } = issue as { errors?: unknown; issues?: unknown };
  if (Array.isArray(errors))
    return errors.map((form: unknown) => (Array.isArray(form) ? (form[0] as unknown) : form)).filter(isIssue);
  return Array.isArray(issues) ? issues.filter(isIssue) : [];
}

function isIssue(value: unknown): value is SchemaIssue {
  return typeof value === "object" && value !== null && typeof (value as { message?: unknown }).message === "string";
}

/** `items[2].price`, `headers["x-a"]` */
function fieldPath(path: SchemaIssue["path"]): string {
  let field = "";
  for (const part of path ?? []) {
    const key = typeof part === "object" ? part.key : part;
    if (typeof key === "number") field += `[${key}]`;
    else if (typeof key === "symbol" || /^[A-Za-z_$][\w$]*$/.test(key))
      field += field === "" ? String(key) : `.${String(key)}`;
    else field += `[${JSON.stringify(key)}]`;
  }
  return field;
}

function cut(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
}
