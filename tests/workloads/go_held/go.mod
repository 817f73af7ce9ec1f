module memwhy/workloads/go_held

go 1.19
