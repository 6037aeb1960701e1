import { create, createFileRegistry, fromBinary, type JsonValue, toJson } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
  FileDescriptorSetSchema,
} from "@bufbuild/protobuf/wkt";

/**
 * The messages of OTLP 1.x (github.com/open-telemetry/opentelemetry-proto), a field a word: `name=number:type`, `*` for repeated, `?` for
 * optional, `|` for a member of the oneof `value`. A type that is no scalar is a message.
 */
const messages: Readonly<Record<string, string>> = {
  AnyValue:
    "string_value=1:string| bool_value=2:bool| int_value=3:int64| double_value=4:double| array_value=5:ArrayValue| kvlist_value=6:KeyValueList| bytes_value=7:bytes|",
  ArrayValue: "values=1:AnyValue*",
  KeyValueList: "values=1:KeyValue*",
  KeyValue: "key=1:string value=2:AnyValue",
  InstrumentationScope: "name=1:string version=2:string attributes=3:KeyValue* dropped_attributes_count=4:uint32",
  Resource: "attributes=1:KeyValue* dropped_attributes_count=2:uint32",

  ExportTraceServiceRequest: "resource_spans=1:ResourceSpans*",
  ResourceSpans: "resource=1:Resource scope_spans=2:ScopeSpans* schema_url=3:string",
  ScopeSpans: "scope=1:InstrumentationScope spans=2:Span* schema_url=3:string",
  Span: "trace_id=1:bytes span_id=2:bytes trace_state=3:string parent_span_id=4:bytes flags=16:fixed32 name=5:string kind=6:int32 start_time_unix_nano=7:fixed64 end_time_unix_nano=8:fixed64 attributes=9:KeyValue* dropped_attributes_count=10:uint32 events=11:Event* dropped_events_count=12:uint32 links=13:Link* dropped_links_count=14:uint32 status=15:Status",
  Event: "time_unix_nano=1:fixed64 name=2:string attributes=3:KeyValue* dropped_attributes_count=4:uint32",
  Link: "trace_id=1:bytes span_id=2:bytes trace_state=3:string attributes=4:KeyValue* dropped_attributes_count=5:uint32 flags=6:fixed32",
  Status: "message=2:string code=3:int32",

  ExportLogsServiceRequest: "resource_logs=1:ResourceLogs*",
  ResourceLogs: "resource=1:Resource scope_logs=2:ScopeLogs* schema_url=3:string",
  ScopeLogs: "scope=1:InstrumentationScope log_records=2:LogRecord* schema_url=3:string",
  LogRecord:
    "time_unix_nano=1:fixed64 observed_time_unix_nano=11:fixed64 severity_number=2:int32 severity_text=3:string body=5:AnyValue attributes=6:KeyValue* dropped_attributes_count=7:uint32 flags=8:fixed32 trace_id=9:bytes span_id=10:bytes event_name=12:string",

  ExportMetricsServiceRequest: "resource_metrics=1:ResourceMetrics*",
  ResourceMetrics: "resource=1:Resource scope_metrics=2:ScopeMetrics* schema_url=3:string",
  ScopeMetrics: "scope=1:InstrumentationScope metrics=2:Metric* schema_url=3:string",
  Metric:
    "name=1:string description=2:string unit=3:string gauge=5:Gauge| sum=7:Sum| histogram=9:Histogram| exponential_histogram=10:ExponentialHistogram|",
  Gauge: "data_points=1:NumberDataPoint*",
  Sum: "data_points=1:NumberDataPoint* aggregation_temporality=2:int32 is_monotonic=3:bool",
  Histogram: "data_points=1:HistogramDataPoint* aggregation_temporality=2:int32",
  ExponentialHistogram: "data_points=1:ExponentialHistogramDataPoint* aggregation_temporality=2:int32",
  NumberDataPoint:
    "attributes=7:KeyValue* start_time_unix_nano=2:fixed64 time_unix_nano=3:fixed64 as_double=4:double| as_int=6:sfixed64| exemplars=5:Exemplar* flags=8:uint32",
  HistogramDataPoint:
    "attributes=9:KeyValue* start_time_unix_nano=2:fixed64 time_unix_nano=3:fixed64 count=4:fixed64 sum=5:double? bucket_counts=6:fixed64* explicit_bounds=7:double* exemplars=8:Exemplar* flags=10:uint32 min=11:double? max=12:double?",
  ExponentialHistogramDataPoint:
    "attributes=1:KeyValue* start_time_unix_nano=2:fixed64 time_unix_nano=3:fixed64 count=4:fixed64 sum=5:double? scale=6:sint32 zero_count=7:fixed64 positive=8:Buckets negative=9:Buckets flags=10:uint32 exemplars=11:Exemplar* min=12:double? max=13:double? zero_threshold=14:double",
  Buckets: "offset=1:sint32 bucket_counts=2:uint64*",
  Exemplar:
    "filtered_attributes=7:KeyValue* time_unix_nano=2:fixed64 as_double=3:double| as_int=6:sfixed64| span_id=4:bytes trace_id=5:bytes",
};

const scalars: Readonly<Record<string, FieldDescriptorProto_Type>> = {
  string: FieldDescriptorProto_Type.STRING,
  bytes: FieldDescriptorProto_Type.BYTES,
  bool: FieldDescriptorProto_Type.BOOL,
  double: FieldDescriptorProto_Type.DOUBLE,
  int32: FieldDescriptorProto_Type.INT32,
  sint32: FieldDescriptorProto_Type.SINT32,
  uint32: FieldDescriptorProto_Type.UINT32,
  fixed32: FieldDescriptorProto_Type.FIXED32,
  int64: FieldDescriptorProto_Type.INT64,
  uint64: FieldDescriptorProto_Type.UINT64,
  fixed64: FieldDescriptorProto_Type.FIXED64,
  sfixed64: FieldDescriptorProto_Type.SFIXED64,
};

function messageOf(name: string, fields: string): object {
  const optional: string[] = [];
  let hasOneof = false;
  const field = fields.split(" ").map((word) => {
    const [, fieldName = "", number, type = "", mark] = /^(\w+)=(\d+):(\w+)([*?|]?)$/.exec(word) ?? [];
    if (mark === "|") hasOneof = true;
    if (mark === "?") optional.push(fieldName);
    return { name: fieldName, number: Number(number), type, mark };
  });
  const oneofs = [...(hasOneof ? ["value"] : []), ...optional.map((fieldName) => `_${fieldName}`)];
  return {
    name,
    field: field.map(({ name: fieldName, number, type, mark }) => ({
      name: fieldName,
      jsonName: fieldName.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()),
      number,
      label: mark === "*" ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
      ...(type in scalars
        ? { type: scalars[type] }
        : { type: FieldDescriptorProto_Type.MESSAGE, typeName: `.otlp.${type}` }),
      ...(mark === "|" && { oneofIndex: 0 }),
      ...(mark === "?" && { oneofIndex: oneofs.indexOf(`_${fieldName}`), proto3Optional: true }),
    })),
    oneofDecl: oneofs.map((oneof) => ({ name: oneof })),
  };
}

const file = create(FileDescriptorProtoSchema, {
  name: "otlp.proto",
  package: "otlp",
  syntax: "proto3",
  messageType: Object.entries(messages).map(([name, fields]) => messageOf(name, fields)),
});
const registry = createFileRegistry(create(FileDescriptorSetSchema, { file: [file] }));

export type Signal = "Trace" | "Metrics" | "Logs";

/** A request as ProtoJSON, fields at their defaults left out. Refuses fields it does not know. */
export function decodeRequest(signal: Signal, bytes: Uint8Array): JsonValue {
  const schema = registry.getMessage(`otlp.Export${signal}ServiceRequest`);
  if (schema === undefined) throw new Error(`no message for ${signal}`);
  const message = fromBinary(schema, bytes);
  refuseUnknown(message);
  return toJson(schema, message);
}

function refuseUnknown(value: unknown): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array) return;
  const unknown = (value as { $unknown?: unknown[] }).$unknown;
  if (unknown !== undefined && unknown.length > 0) throw new Error(`unknown fields: ${JSON.stringify(unknown)}`);
  for (const inner of Object.values(value)) refuseUnknown(inner);
}
