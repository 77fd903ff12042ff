{{/* The permissions that the controller needs in a namespace that it serves, and no others. */}}
{{- define "kulta.namespacedRules" -}}
- apiGroups: [argoproj.io]
  resources: [rollouts]
  verbs: [list, watch, patch]
- apiGroups: [argoproj.io]
  resources: [rollouts/status]
  verbs: [patch]
- apiGroups: [argoproj.io]
  resources: [analysisruns]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [argoproj.io]
  resources: [analysisruns/status]
  verbs: [patch]
- apiGroups: [argoproj.io]
  resources: [analysistemplates]
  verbs: [list, watch]
# ReplicaSets have their Rollout as an owner with blockOwnerDeletion; clusters that enforce owner permissions require this.
- apiGroups: [argoproj.io]
  resources: [rollouts/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [replicasets]
  verbs: [list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [services]
  verbs: [list, watch, patch]
{{- if .Values.rbac.gatewayAPI }}
- apiGroups: [gateway.networking.k8s.io]
  resources: [httproutes, grpcroutes, tcproutes, tlsroutes]
  verbs: [list, watch, patch]
{{- end }}
# For restarts, canaryMetadata and stableMetadata, the image digest in events, and the pods of a revision that may still serve.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, patch]
- apiGroups: [""]
  resources: [pods/eviction]
  verbs: [create]
# To check whether a revision still serves before its last pods are deleted.
- apiGroups: [discovery.k8s.io]
  resources: [endpointslices]
  verbs: [list]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* The permissions for objects without a namespace. */}}
{{- define "kulta.clusterRules" -}}
- apiGroups: [argoproj.io]
  resources: [clusteranalysistemplates]
  verbs: [list, watch]
{{- if include "kulta.ownsPlugins" . }}
- apiGroups: [kulta.io]
  resources: [plugins]
  verbs: [list, watch, patch]
- apiGroups: [kulta.io]
  resources: [plugins/status]
  verbs: [patch]
{{- else }}
- apiGroups: [kulta.io]
  resources: [plugins]
  verbs: [list, watch]
{{- end }}
# To check whether the Rollout CRD keeps status.kulta.
- apiGroups: [apiextensions.k8s.io]
  resources: [customresourcedefinitions]
  resourceNames: [rollouts.argoproj.io]
  verbs: [get, list, watch]
{{- end -}}

{{/* A controller that serves some namespaces, and has no instance id, leaves the status of Plugins to the cluster's other controller. */}}
{{- define "kulta.ownsPlugins" -}}
{{- if or (not .Values.controller.namespaces) .Values.controller.instanceID }}true{{ end -}}
{{- end -}}
