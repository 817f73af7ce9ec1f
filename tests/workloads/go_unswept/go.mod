module memwhy/workloads/go_unswept

go 1.19
