{{/* Combinations of values that the JSON Schema cannot reject. */}}
{{- define "kulta.validate" -}}
{{- $served := .Values.controller.namespaces -}}
{{- if and (gt (int .Values.replicas) 1) (not .Values.leaderElection.enabled) -}}
{{- fail (printf "replicas is %d, but leaderElection.enabled is false: without an election each pod would act on every Rollout" (int .Values.replicas)) -}}
{{- end -}}
{{- if and (gt (int .Values.replicas) 1) .Values.plugins.cache.claim -}}
{{- fail (printf "replicas is %d, but plugins.cache.claim is %q: only one controller may use a cache" (int .Values.replicas) .Values.plugins.cache.claim) -}}
{{- end -}}
{{- if and .Values.podDisruptionBudget.enabled (lt (int .Values.replicas) 2) -}}
{{- fail "podDisruptionBudget.enabled needs at least 2 replicas: with fewer it would protect nothing" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name is empty, but serviceAccount.create is false: name an existing ServiceAccount" -}}
{{- end -}}
{{- if and .Values.networkPolicy.egress (not .Values.networkPolicy.enabled) -}}
{{- fail "networkPolicy.egress has rules, but networkPolicy.enabled is false" -}}
{{- end -}}
{{- if and .Values.networkPolicy.ingressFrom (not .Values.networkPolicy.enabled) -}}
{{- fail "networkPolicy.ingressFrom has peers, but networkPolicy.enabled is false" -}}
{{- end -}}
{{- range $feature := list "jobs" "secrets" -}}
{{- $permission := index $.Values.rbac $feature -}}
{{- if and (ne $permission.scope "none") (not $.Values.rbac.create) -}}
{{- fail (printf "rbac.%s.scope is %s, but rbac.create is false" $feature $permission.scope) -}}
{{- end -}}
{{- if and (eq $permission.scope "namespaces") (not $permission.namespaces) -}}
{{- fail (printf "rbac.%s.scope is namespaces, but rbac.%s.namespaces is empty: list at least one namespace" $feature $feature) -}}
{{- end -}}
{{- if and (ne $permission.scope "namespaces") $permission.namespaces -}}
{{- fail (printf "rbac.%s.namespaces has entries, but rbac.%s.scope is %s: set it to namespaces" $feature $feature $permission.scope) -}}
{{- end -}}
{{- if and (eq $permission.scope "cluster") $served -}}
{{- fail (printf "rbac.%s.scope is cluster, but controller.namespaces limits the controller: set the scope to namespaces" $feature) -}}
{{- end -}}
{{- range $permission.namespaces -}}
{{- if and $served (not (has . $served)) -}}
{{- fail (printf "rbac.%s.namespaces has %s, which controller.namespaces does not have" $feature .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.rbac.secrets.names (eq .Values.rbac.secrets.scope "none") -}}
{{- fail "rbac.secrets.names has entries, but rbac.secrets.scope is none" -}}
{{- end -}}
{{- range $name, $spec := .Values.plugins.objects -}}
{{- if and $.Values.plugins.trustedKeys.configMap (not (hasKey $spec.source "oci")) -}}
{{- fail (printf "plugins.objects.%s has a source that cannot be signed, but plugins.trustedKeys.configMap is set: use source.oci" $name) -}}
{{- end -}}
{{- if and (hasKey $spec.source "oci") (not $spec.digest) (not $.Values.plugins.allowTags) -}}
{{- fail (printf "plugins.objects.%s has source.oci without a digest, but plugins.allowTags is false" $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
