module memwhy/workloads/go_growth

go 1.19
