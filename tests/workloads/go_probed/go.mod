module memwhy/workloads/go_probed

go 1.19
