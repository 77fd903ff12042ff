{{/* Name of the objects. */}}
{{- define "kulta.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Labels by which the Service and the Deployment find their pods. */}}
{{- define "kulta.selectorLabels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "kulta.labels" -}}
{{ include "kulta.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "kulta.serviceAccountName" -}}
{{- .Values.serviceAccount.name | default (include "kulta.fullname" .) -}}
{{- end -}}

{{- define "kulta.image" -}}
{{- $tag := .Values.image.tag | default .Chart.AppVersion -}}
{{- printf "%s:%s" .Values.image.repository $tag -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* The port of the address that the controller listens on. */}}
{{- define "kulta.port" -}}
{{- splitList ":" .Values.controller.listen | last -}}
{{- end -}}

{{/* The subject of every binding. */}}
{{- define "kulta.subjects" -}}
- kind: ServiceAccount
  name: {{ include "kulta.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
