{{/* The flags of the controller. A list becomes one flag with commas. */}}
{{- define "kulta.args" -}}
{{- $controller := .Values.controller -}}
{{- $args := list "controller" "--plugin-cache=/var/cache/kulta" -}}
{{- $args = append $args (printf "--listen=%s" $controller.listen) -}}
{{- $args = append $args (printf "--log-format=%s" $controller.logFormat) -}}
{{- $args = append $args (printf "--log-level=%s" $controller.logLevel) -}}
{{- $args = append $args (printf "--workers=%d" (int $controller.workers)) -}}
{{- with $controller.namespaces -}}{{- $args = append $args (printf "--namespaces=%s" (join "," .)) -}}{{- end -}}
{{- with $controller.instanceID -}}{{- $args = append $args (printf "--instance-id=%s" .) -}}{{- end -}}
{{- $args = append $args (printf "--leader-elect=%t" .Values.leaderElection.enabled) -}}
{{- with .Values.leaderElection -}}
{{- if .enabled -}}
{{- with .namespace -}}{{- $args = append $args (printf "--lease-namespace=%s" .) -}}{{- end -}}
{{- $args = append $args (printf "--leader-election-lease-duration=%s" .leaseDuration) -}}
{{- $args = append $args (printf "--leader-election-renew-deadline=%s" .renewDeadline) -}}
{{- $args = append $args (printf "--leader-election-retry-period=%s" .retryPeriod) -}}
{{- end -}}
{{- end -}}
{{- with .Values.proxy -}}
{{- with .http -}}{{- $args = append $args (printf "--http-proxy=%s" .) -}}{{- end -}}
{{- with .https -}}{{- $args = append $args (printf "--https-proxy=%s" .) -}}{{- end -}}
{{- with .noProxy -}}{{- $args = append $args (printf "--no-proxy=%s" (join "," .)) -}}{{- end -}}
{{- end -}}
{{- with .Values.cdevents -}}
{{- if .sink -}}
{{- $args = append $args (printf "--cdevents-sink=%s" .sink) -}}
{{- $args = append $args (printf "--cdevents-mode=%s" .mode) -}}
{{- $args = append $args (printf "--environment=%s" .environment) -}}
{{- $args = append $args (printf "--event-source=%s" .source) -}}
{{- $args = append $args (printf "--git-commit-annotations=%s" (join "," .gitCommitAnnotations)) -}}
{{- end -}}
{{- end -}}
{{- with .Values.analysis -}}
{{- with .prometheusAddress -}}{{- $args = append $args (printf "--prometheus-address=%s" .) -}}{{- end -}}
{{- with .urlPrefixes -}}{{- $args = append $args (printf "--analysis-url-prefix=%s" (join "," .)) -}}{{- end -}}
{{- with .deniedNetworks -}}{{- $args = append $args (printf "--analysis-deny=%s" (join "," .)) -}}{{- end -}}
{{- if .allowLoopback -}}{{- $args = append $args "--analysis-loopback" -}}{{- end -}}
{{- end -}}
{{- with .Values.plugins -}}
{{- $args = append $args (printf "--plugin-compile-memory=%s" .compileMemory) -}}
{{- if .allowTags -}}{{- $args = append $args "--plugin-allow-tags" -}}{{- end -}}
{{- with .httpRegistries -}}{{- $args = append $args (printf "--plugin-http-registries=%s" (join "," .)) -}}{{- end -}}
{{- if .trustedKeys.configMap -}}
{{- $args = append $args (printf "--plugin-trusted-keys=/etc/kulta/trusted-keys/%s" .trustedKeys.key) -}}
{{- end -}}
{{- end -}}
{{- toYaml (concat $args .Values.extraArgs) -}}
{{- end -}}
