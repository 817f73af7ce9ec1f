module memwhy/workloads/go_causes

go 1.19
