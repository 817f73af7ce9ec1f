module memwhy/workloads/go_findings

go 1.19
