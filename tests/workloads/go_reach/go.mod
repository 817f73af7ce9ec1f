module memwhy/workloads/go_reach

go 1.19
